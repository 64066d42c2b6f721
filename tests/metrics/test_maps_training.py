"""Time to an error, residuals of inverses and Sinkhorn costs, each against a known answer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.conformance import TinyPair
from otbench.interface.artefacts import Transport
from otbench.interface.metric import Metric, Undefined
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.metrics.maps_residual import ConjugateResidual
from otbench.metrics.maps_samples import SINKHORN_POINTS, SampleReference, SinkhornCost
from otbench.metrics.maps_training import TimeToUVP
from otbench_datasets.point_pairs.plane import Plane

N = 2000
PAIR = TinyPair()


@pytest.fixture
def ctx() -> ScoreContext:
    return ScoreContext(torch.device("cpu"), 0, PAIR)


def artefact(pulled: Tensor | None = None, returned: Tensor | None = None) -> Transport:
    source, target, again = (
        draw(N, torch.Generator().manual_seed(seed))
        for seed, draw in enumerate((PAIR.source, PAIR.target, PAIR.target))
    )
    images = PAIR.true_map(source)
    return Transport(source, target, again, images, images, 0.5, pulled, 0.0, returned)


def points(*scores: float) -> list[dict[str, float]]:
    return [{"step": 10 * k, "seconds": 2.0**k, "uvp": uvp} for k, uvp in enumerate(scores)]


def test_the_time_is_that_of_the_first_checkpoint_that_is_good_enough(ctx: ScoreContext) -> None:
    ctx.curve = points(80, 9, 5, 30, 2)
    for percent, seconds in ((100, 1), (10, 2), (5, 4), (4.9, 16)):
        value = TimeToUVP(percent).compute(artefact(), ctx)
        assert (value.value, value.n) == (seconds, 5)
    assert TimeToUVP().id == "time_to_uvp[percent=5]"
    assert TimeToUVP(0.5).direction == "lower"


def test_a_time_that_never_came_is_no_number(ctx: ScoreContext) -> None:
    ctx.curve = points(80, 9.123, 12)
    message = r"5 percent was not reached: the lowest was 9.12, after 2 of 4 s of training"
    with pytest.raises(Undefined, match=message):
        TimeToUVP().compute(artefact(), ctx)
    ctx.curve = []
    with pytest.raises(Undefined, match=r"does not call ctx\.checkpoint"):
        TimeToUVP().compute(artefact(), ctx)


def test_times_are_of_known_maps_only() -> None:
    assert TimeToUVP().missing(PAIR) is None
    assert TimeToUVP().missing(Plane().load()) == "the optimal map of plane is not known"


def test_the_residual_is_how_far_points_come_back_from_where_they_were(ctx: ScoreContext) -> None:
    still = artefact()
    assert still.images is not None
    # the k-th point comes back k / 100 off in one coordinate, and less in the other
    off = torch.stack([torch.arange(200) / 100.0, -torch.arange(200) / 200.0], 1)
    done = artefact(still.source, still.images[:200] + off)
    for over, wanted in (("mean", 0.995), ("q90", 1.791), ("max", 1.99)):
        value = ConjugateResidual(over).compute(done, ctx)  # type: ignore[arg-type]
        assert value.value == pytest.approx(wanted, rel=1e-4)
        assert value.n == 200
    mean = ConjugateResidual().compute(done, ctx)
    assert mean.stderr == pytest.approx(np.std(np.arange(200) / 100, ddof=1) / math.sqrt(200))
    # where the map is unknown, the points are the target's own
    unknown = dataclasses.replace(done, images=None, returned=still.target[:50] + 3)
    assert ConjugateResidual("max").compute(unknown, ctx).value == pytest.approx(3, rel=1e-5)


def test_the_residual_needs_dual_and_inverse(ctx: ScoreContext) -> None:
    for missing, message in (("dual", "needs dual_value"), ("returned", "needs pull")):
        done = dataclasses.replace(artefact(), **{"returned": torch.ones(2, 2), missing: None})
        with pytest.raises(Undefined, match=message):
            ConjugateResidual().compute(done, ctx)
    with pytest.raises(BadOutput, match="lost"):
        ConjugateResidual().compute(
            dataclasses.replace(artefact(), returned=BadOutput("lost")), ctx
        )


def by_pot(x: Tensor, y: Tensor) -> float:
    """Return <P, C> + eps KL(P | a b') by POT, eps = 0.05 std C."""
    from otbench.ot.discrete.pot import import_pot

    costs = torch.cdist(x.double(), y.double()).square().numpy()
    epsilon = 0.05 * costs.std()
    a, b = (np.full(n, 1 / n) for n in costs.shape)
    plan = import_pot().sinkhorn(a, b, costs, epsilon, stopThr=1e-9, numItermax=5000)
    relative = plan / np.outer(a, b)
    entropy = (plan * np.log(np.maximum(relative, 1e-300))).sum()
    return float((plan * costs).sum() + epsilon * entropy)


def test_the_sinkhorn_cost_is_pot_s(ctx: ScoreContext) -> None:
    n = SINKHORN_POINTS
    done = artefact(pulled=artefact().source + 0.5)
    moved, target, source = done.pushed, done.target, done.source
    forward, inverse = (SinkhornCost(way).compute(done, ctx) for way in ("forward", "inverse"))  # type: ignore[arg-type]
    assert forward.n == inverse.n == n
    assert forward.value == pytest.approx(by_pot(moved[:n], target[:n]), rel=5e-3)
    # the pulled points came from the first of the source: they are compared with the last
    assert done.pulled is not None
    wanted = by_pot(done.pulled[:n], source[-n:])  # type: ignore[index]
    assert inverse.value == pytest.approx(wanted, rel=5e-3)


def test_the_floor_is_what_the_true_map_scores(ctx: ScoreContext) -> None:
    done = artefact(pulled=artefact().source)
    for way, floor in (("forward", "floor"), ("inverse", "source-floor")):
        score = SinkhornCost(way).compute(done, ctx).value  # type: ignore[arg-type]
        reference = SampleReference(floor, "sinkhorn")  # type: ignore[arg-type]
        least = reference.compute(done, ctx).value
        assert reference.id == f"{floor.replace('-', '_')}_sinkhorn_cost[{way},n=512]"
        assert score == pytest.approx(least, rel=0.2)
        identity = SampleReference("identity", "sinkhorn").compute(done, ctx).value
        assert identity > 1.3 * least


def test_the_inverse_cost_needs_an_inverse(ctx: ScoreContext) -> None:
    with pytest.raises(Undefined, match="needs pull"):
        SinkhornCost("inverse").compute(artefact(), ctx)
    with pytest.raises(BadOutput, match="lost"):
        SinkhornCost("inverse").compute(artefact(BadOutput("lost")), ctx)  # type: ignore[arg-type]


def test_bad_parameters_are_refused() -> None:
    makes: list[tuple[type[Metric], object, str]] = [
        (TimeToUVP, 0.0, "percent must be positive, got 0"),
        (ConjugateResidual, "median", "mean, q90, max"),
        (SinkhornCost, "back", "forward, inverse"),
    ]
    for metric, value, message in makes:
        with pytest.raises(ValueError, match=message):
            metric(value)  # type: ignore[call-arg]
