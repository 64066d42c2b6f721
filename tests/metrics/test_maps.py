"""Metrics of maps against closed forms on Gaussians, other solvers, and what they refuse."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from otbench.interface import MeasurePair
from otbench.interface.artefacts import Transport
from otbench.interface.metric import Metric, Undefined
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.metrics.maps import UVP, Cosine, Monotonicity, PushRate, W2Gap
from otbench.metrics.maps_samples import ExactW2, SampleReference, SlicedW2
from otbench_datasets.point_pairs.gaussian_pair import GaussianPair, Gaussians
from otbench_datasets.point_pairs.plane import Plane

N = 4096


@pytest.fixture(scope="module")
def pair() -> Gaussians:
    pair = GaussianPair(3, seed=1).load()
    assert isinstance(pair, Gaussians)
    return pair


@pytest.fixture(scope="module")
def ctx(pair: Gaussians) -> ScoreContext:
    return ScoreContext(torch.device("cpu"), 0, pair)


@pytest.fixture(scope="module")
def still(pair: Gaussians) -> Transport:
    """The identity: pushed are the source points, pulled the target points."""
    source, target, again = (
        draw(N, torch.Generator().manual_seed(seed))
        for seed, draw in enumerate((pair.source, pair.target, pair.target))
    )
    images = pair.true_map(source)
    return Transport(source, target, again, images, source, 0.5, images, 0.0)


@pytest.fixture(scope="module")
def exact(still: Transport) -> Transport:
    assert still.images is not None
    half = float((still.images - still.source).double().square().sum(1).mean() / 2)
    return dataclasses.replace(still, pushed=still.images, pulled=still.source, dual=half)


def pushed(still: Transport, points: Tensor) -> Transport:
    return dataclasses.replace(still, pushed=points)


def test_uvp_of_the_identity_is_the_squared_distance_over_the_variance(
    pair: Gaussians, still: Transport, ctx: ScoreContext
) -> None:
    for way, side in (("forward", 1), ("inverse", 0)):
        value = UVP(way).compute(still, ctx)  # type: ignore[arg-type]
        wanted = 100 * pair.squared_w2() / np.trace(pair.covariances[side])
        assert value.value == pytest.approx(wanted, rel=0.06)
        assert value.stderr is not None
        assert 0 < value.stderr < 0.05 * wanted
        assert value.n == N


def test_the_true_map_scores_the_best_values(exact: Transport, ctx: ScoreContext) -> None:
    for way in ("forward", "inverse"):
        assert UVP(way).compute(exact, ctx).value == 0  # type: ignore[arg-type]
        assert Cosine(way).compute(exact, ctx).value == pytest.approx(1)  # type: ignore[arg-type]
    assert W2Gap().compute(exact, ctx).value == pytest.approx(0, abs=1e-4)
    assert Monotonicity().compute(exact, ctx).value == 1


def test_the_mean_of_the_target_scores_100(still: Transport, ctx: ScoreContext) -> None:
    assert still.images is not None
    constant = pushed(still, still.images.mean(0).expand(N, 3))
    assert UVP().compute(constant, ctx).value == pytest.approx(100, abs=1e-3)
    assert Monotonicity().compute(constant, ctx).value == 1


def test_the_cosine_does_not_see_the_length_of_steps(still: Transport, ctx: ScoreContext) -> None:
    assert still.images is not None
    step = still.images - still.source
    for factor, wanted in ((0.3, 1), (-2.0, -1)):
        moved = pushed(still, still.source + factor * step)
        assert Cosine().compute(moved, ctx).value == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(Undefined, match="moves no point"):
        Cosine().compute(still, ctx)


def test_the_gap_is_relative_to_the_true_value(exact: Transport, ctx: ScoreContext) -> None:
    assert isinstance(exact.dual, float)
    for factor in (0.9, 1.1):
        off = dataclasses.replace(exact, dual=factor * exact.dual)
        assert W2Gap().compute(off, ctx).value == pytest.approx(10, abs=1e-3)
    zero = dataclasses.replace(exact, dual=0.0)
    assert W2Gap().compute(zero, ctx).value == pytest.approx(100)
    # Without images the closed form of the data set stands in.
    closed = dataclasses.replace(exact, images=None, dual=ctx.data.squared_w2() / 2)
    assert W2Gap().compute(closed, ctx).value == pytest.approx(0, abs=1e-9)


def test_monotonicity_counts_pairs(still: Transport, ctx: ScoreContext) -> None:
    assert Monotonicity().compute(pushed(still, -still.source), ctx).value == 0
    # A turn by less than a quarter keeps every step's sign along itself, by more it keeps none.
    for degrees, wanted in ((89, 1.0), (91, 0.0)):
        angle = torch.tensor(np.deg2rad(degrees))
        turn = torch.eye(3)
        turn[:2, :2] = torch.stack(
            [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
        )
        flat = still.source * torch.tensor([1.0, 1.0, 0.0])
        artefact = dataclasses.replace(still, source=flat, pushed=flat @ turn.T)
        assert Monotonicity().compute(artefact, ctx).value == wanted


def test_distances_of_a_shift_are_its_length(still: Transport, ctx: ScoreContext) -> None:
    shift = torch.tensor([3.0, -4.0, 12.0])
    moved = pushed(still, still.target + shift)
    assert ExactW2(300).compute(moved, ctx).value == pytest.approx(13, rel=1e-5)
    # The mean squared cosine of a direction is 1/3 in three dimensions.
    sliced = SlicedW2(2000).compute(moved, ctx).value
    assert sliced == pytest.approx(13 / 3**0.5, rel=0.04)


def test_the_exact_distance_is_the_best_assignment_s(still: Transport, ctx: ScoreContext) -> None:
    n = 200
    costs = torch.cdist(still.source[:n].double(), still.target[:n].double()).square().numpy()
    rows, columns = linear_sum_assignment(costs)
    value = ExactW2(n).compute(still, ctx)
    assert value.value == pytest.approx(np.sqrt(costs[rows, columns].mean()), rel=1e-6)
    assert value.n == n


def test_the_sliced_distance_is_pot_s(still: Transport) -> None:
    from otbench.ot.discrete.pot import import_pot

    ours = SlicedW2(1000).distance(still.source[:500], still.target[:500]).value
    points = [x[:500].double().numpy() for x in (still.source, still.target)]
    theirs = import_pot().sliced_wasserstein_distance(*points, n_projections=1000, seed=0)
    assert ours == pytest.approx(float(theirs), rel=0.05)


def test_floor_and_identity_enclose_a_good_map(
    still: Transport, exact: Transport, ctx: ScoreContext
) -> None:
    for of, metric in (("sliced", SlicedW2()), ("exact", ExactW2())):
        floor, identity = (
            SampleReference(what, of).compute(still, ctx).value  # type: ignore[arg-type]
            for what in ("floor", "identity")
        )
        assert identity == metric.compute(still, ctx).value
        assert metric.compute(exact, ctx).value == pytest.approx(floor, rel=0.35)
        assert floor < 0.5 * identity


def test_the_rate_is_points_over_seconds(still: Transport, ctx: ScoreContext) -> None:
    assert PushRate().compute(still, ctx).value == 2 * N


def test_a_map_that_is_off_is_a_failure_with_a_reason(still: Transport, ctx: ScoreContext) -> None:
    far = pushed(still, still.source * 1e5)
    for metric in (UVP(), SlicedW2(), ExactW2(64)):
        artefact = far if metric == UVP() else pushed(still, still.source * 1e8)
        with pytest.raises(BadOutput, match=r"beyond 1e\+06: the map is off"):
            metric.compute(artefact, ctx)
    nan = dataclasses.replace(still, dual=float("nan"))
    with pytest.raises(BadOutput, match="w2_gap is nan"):
        W2Gap().compute(nan, ctx)


def test_what_the_method_lacks_is_a_reason(still: Transport, ctx: ScoreContext) -> None:
    bare = dataclasses.replace(still, pulled=None, dual=None)
    with pytest.raises(Undefined, match="needs pull"):
        UVP("inverse").compute(bare, ctx)
    with pytest.raises(Undefined, match="needs dual_value"):
        W2Gap().compute(bare, ctx)
    broken = dataclasses.replace(still, pulled=BadOutput("no pull"), dual=BadOutput("no dual"))
    with pytest.raises(BadOutput, match="no pull"):
        Cosine("inverse").compute(broken, ctx)
    with pytest.raises(BadOutput, match="no dual"):
        W2Gap().compute(broken, ctx)


def test_columns_are_left_out_where_the_map_is_unknown(pair: Gaussians) -> None:
    plane = Plane().load()
    assert isinstance(plane, MeasurePair)
    needy: list[Metric] = [UVP(), UVP("inverse"), Cosine(), W2Gap()]
    for metric in needy:
        assert metric.missing(pair) is None
        assert metric.missing(plane) == "the optimal map of plane is not known"
    for metric in (SlicedW2(), ExactW2(), SampleReference(), Monotonicity(), PushRate()):
        assert metric.missing(plane) is None


def test_bad_parameters_are_refused() -> None:
    for make, message in (
        (lambda: UVP("back"), "forward, inverse"),  # type: ignore[arg-type]
        (lambda: SlicedW2(0), "at least 1, got 0"),
        (lambda: ExactW2(1), "from 2 to 8192, got 1"),
        (lambda: SampleReference("roof"), "floor, source-floor, identity"),  # type: ignore[arg-type]
        (lambda: SampleReference(of="soft"), "sliced, exact, sinkhorn"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=message):
            make()
