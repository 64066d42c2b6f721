"""Metrics of stochastic maps against the closed form between Gaussians, and what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, StochasticMap, TransportMap
from otbench.interface.artefacts import WeakTransport
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.metrics.conditional_variance import ConditionalVariance
from otbench.metrics.weak_maps import WeakCostGap, WeakUVP
from otbench.metrics.weak_structure import (
    BarycentricLipschitz,
    BarycentricMonotonicity,
    PotentialLoss,
    SpreadRatio,
    smoothed,
)
from otbench.scoring.score import score
from otbench.tasks.weak_transport import WeakTransportation
from otbench_datasets.point_pairs.plane import Plane
from otbench_datasets.point_pairs.weak_gaussian import CommonAxes
from otbench_methods.sampled_maps.linear import Identity

SPREADS = np.array([1.0, 1.0]), np.array([0.7, 1.8])
DUE = 1.8**2 - 1
"""Conditional variance at gamma 1: t = (0.7, 1)."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    return tmp_path


def gaussians(gamma: float = 1.0) -> CommonAxes:
    return CommonAxes("0" * 64, gamma, (np.zeros(2), np.zeros(2)), np.eye(2), SPREADS)


def context(data: MeasurePair, sample: int | None = None) -> ScoreContext:
    return ScoreContext(torch.device("cpu"), 0, data, sample=sample)


class Oracle(StochasticMap):
    """The solution at gamma 1, with Gaussian noise; ``stretch`` scales the noise."""

    card = MethodCard("oracle", "none")

    def __init__(self, stretch: float = 1.0, losses: Tensor | None = None) -> None:
        self.stretch, self.losses = stretch, losses

    def fit(self, data: MeasurePair, ctx: FitContext) -> None: ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Oracle:
        return cls()

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        assert generator is not None
        return self.conditional(x, 1, generator)[:, 0]

    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(1, n, 1, generator=generator) * (self.stretch * DUE**0.5)
        mean = x * torch.tensor([0.7, 1.0])
        return mean.unsqueeze(1) + noise * torch.tensor([0.0, 1.0])

    def cost_gamma(self) -> float:
        return 1.0

    def potential_losses(self) -> Tensor | None:
        return self.losses


class Exact(Oracle):
    """With the barycentric map in closed form, without the noise of a mean."""

    def barycentric(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return x * torch.tensor([0.7, 1.0])


def done(method: TransportMap, data: MeasurePair, sample: int | None = None) -> WeakTransport:
    return WeakTransportation().run(method, data, context(data, sample))


@pytest.fixture(scope="module")
def solved() -> WeakTransport:
    return done(Exact(), gaussians())


def test_the_solution_scores_the_best_values(solved: WeakTransport) -> None:
    ctx = context(gaussians())
    assert solved.draws.shape == (400, 256, 2)
    assert WeakUVP().compute(solved, ctx).value == pytest.approx(0, abs=1e-9)
    assert ConditionalVariance().compute(solved, ctx).value == pytest.approx(DUE, rel=0.15)
    ratio = ConditionalVariance(of="ratio").compute(solved, ctx).value
    assert ratio == pytest.approx(1, abs=0.15)
    assert WeakCostGap().compute(solved, ctx).value < 20
    assert BarycentricLipschitz(100).compute(solved, ctx).value == pytest.approx(1, abs=0.01)
    assert BarycentricMonotonicity().compute(solved, ctx).value == 1
    assert SpreadRatio().compute(solved, ctx).value == pytest.approx(1, abs=0.1)


def test_drawn_means_add_the_noise_of_the_draws() -> None:
    artefact = done(Oracle(), gaussians())
    added = WeakUVP().compute(artefact, context(gaussians())).value
    # One noise for all points: a chi-square with one degree of freedom.
    assert 0 < added < 9 * 100 * DUE / 256 / (0.49 + 3.24)


def test_the_identity_scores_by_hand() -> None:
    data = gaussians()
    artefact = done(Identity(), data)
    ctx = context(data)
    wanted = 100 * 0.09 / (0.49 + 3.24)
    assert WeakUVP().compute(artefact, ctx).value == pytest.approx(wanted, rel=0.2)
    assert ConditionalVariance().compute(artefact, ctx).value == 0
    assert ConditionalVariance(of="ratio").compute(artefact, ctx).value == 0
    # it costs nothing where the optimum is 0.045
    assert WeakCostGap().compute(artefact, ctx).value == pytest.approx(100, abs=1e-6)
    spread = SpreadRatio().compute(artefact, ctx).value
    pairs = [torch.pdist(p.double()).mean() for p in (artefact.source, artefact.target)]
    assert spread == pytest.approx(float(pairs[0] / pairs[1]))


def test_gamma_is_the_metrics_then_the_pairs_then_the_methods() -> None:
    artefact = done(Exact(), gaussians(0.5))
    ctx = context(gaussians(0.5))
    half, one = WeakUVP(), WeakUVP(gamma=1.0)
    assert one.compute(artefact, ctx).value == pytest.approx(0, abs=1e-9)
    # at gamma 0.5 the second axis is stretched to 1.8
    wanted = 100 * 0.64 / (0.49 + 3.24)
    assert half.compute(artefact, ctx).value == pytest.approx(wanted, rel=0.2)
    assert (half.id, one.id) == ("weak_uvp[gamma=own]", "weak_uvp[gamma=1]")
    plain = gaussians()
    plain.gamma = None  # type: ignore[assignment]
    assert WeakUVP().solution(artefact, context(plain))[0] == 1.0
    with pytest.raises(Undefined, match="try gamma=1"):
        WeakUVP().compute(dataclasses.replace(artefact, gamma=None), context(plain))
    with pytest.raises(Undefined, match="the optimal plan is a map"):
        ConditionalVariance(of="ratio").compute(artefact, ctx)


def test_without_a_closed_form_a_plan_between_the_points_is_the_solution(own_cache: Path) -> None:
    data = Plane("white-moons").load()
    ctx = context(data, 40)  # type: ignore[arg-type]
    artefact = done(Identity(), data, 40)  # type: ignore[arg-type]
    _, solution = WeakUVP(1.0).solution(artefact, ctx)
    assert len(solution.images) == 40
    found = dataclasses.replace(artefact, barycentric=torch.from_numpy(solution.images))
    assert WeakUVP(1.0).compute(found, ctx).value == pytest.approx(0, abs=1e-9)
    # the plan's own moments: E Var = E|Y|^2 - E|m|^2
    square = float(artefact.target.double().square().sum(dim=1).mean())
    assert solution.variances.mean() == pytest.approx(
        square - (solution.images**2).sum(axis=1).mean(), rel=1e-6
    )
    assert not list(own_cache.rglob("*.npz"))  # so few points are not worth keeping
    rows = 1 + np.arange(40)[:, None] / 40
    draws = torch.from_numpy(rows[..., None] * np.random.default_rng(0).normal(size=(40, 64, 2)))
    noisy = dataclasses.replace(found, draws=draws)
    own = draws.var(dim=1).sum(dim=1).numpy()
    wanted = np.corrcoef(own, solution.variances)[0, 1]
    value = ConditionalVariance(1.0, "correlation").compute(noisy, ctx).value
    assert value == pytest.approx(wanted)


def test_plans_are_kept_in_the_cache_folder(own_cache: Path) -> None:
    from unittest.mock import patch

    data = Plane("white-moons").load()
    artefact = done(Identity(), data, 220)  # type: ignore[arg-type]
    first = WeakUVP(0.0).compute(artefact, context(data, 220)).value  # type: ignore[arg-type]
    assert len(list((own_cache / "weak-plans").iterdir())) == 1
    with patch("otbench.ot.discrete.weak.weak_plan", side_effect=AssertionError("solved again")):
        again = WeakUVP(0.0).compute(artefact, context(data, 220)).value  # type: ignore[arg-type]
        assert again == first
        with pytest.raises(AssertionError, match="solved again"):
            WeakUVP(0.5).compute(artefact, context(data, 220))  # type: ignore[arg-type]


def test_a_turned_map_is_neither_monotone_nor_short(solved: WeakTransport) -> None:
    ctx = context(gaussians())
    turned = dataclasses.replace(solved, barycentric=-3 * solved.source)
    assert BarycentricMonotonicity().compute(turned, ctx).value == 0
    assert BarycentricLipschitz().compute(turned, ctx).value == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize("kept", [0.1, 0.3])
def test_the_spread_falls_with_what_is_kept_of_it(solved: WeakTransport, kept: float) -> None:
    ctx = context(gaussians())
    shrunk = dataclasses.replace(solved, draws=kept * solved.draws)
    whole = SpreadRatio().compute(solved, ctx).value
    assert SpreadRatio().compute(shrunk, ctx).value == pytest.approx(kept * whole)


def test_losses_are_smoothed_as_pandas_smooths() -> None:
    losses = np.random.default_rng(0).normal(size=900) + np.linspace(1, 0, 900)
    ours = smoothed(losses, 200)
    np.testing.assert_allclose(ours, pd.Series(losses).ewm(span=200).mean())
    artefact = done(Oracle(losses=torch.from_numpy(losses)), gaussians(), 10)
    ctx = context(gaussians())
    assert PotentialLoss().compute(artefact, ctx).value == pytest.approx(abs(ours[-1]))
    spread = PotentialLoss("spread").compute(artefact, ctx).value
    assert spread == pytest.approx(losses[-180:].std(ddof=1))
    with pytest.raises(Undefined, match="recorded no loss"):
        PotentialLoss().compute(done(Identity(), gaussians(), 10), ctx)


def test_every_metric_of_the_presets_has_a_value_for_a_stochastic_map() -> None:
    data = gaussians()
    wanted = {"weak-transport": list(WeakTransportation.default_metrics)}
    method = Oracle(losses=torch.ones(30))
    rows = list(score(method, data, context(data, 60), wanted))
    assert len(rows) == len(wanted["weak-transport"])
    assert {row["status"] for row in rows} == {"ok"}


def test_faults_have_names() -> None:
    class Wrong(Oracle):
        def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
            return x

    class Infinite(Oracle):
        def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
            return super().conditional(x, n, generator) / 0

    with pytest.raises(BadOutput, match=r"Wrong.conditional returned \(10, 2\), wanted"):
        done(Wrong(), gaussians(), 10)
    with pytest.raises(BadOutput, match="not finite"):
        done(Infinite(), gaussians(), 10)
    far = dataclasses.replace(done(Oracle(), gaussians(), 10), barycentric=torch.full((10, 2), 1e9))
    with pytest.raises(BadOutput, match="the map is off"):
        WeakUVP().compute(far, context(gaussians()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeakUVP(-1.0), "at least 0"),
        (lambda: ConditionalVariance(of="median"), "of must be"),  # type: ignore[arg-type]
        (lambda: PotentialLoss("mean"), "of must be"),  # type: ignore[arg-type]
        (lambda: BarycentricLipschitz(101), "percentile must be from 0 to 100"),
    ],
)
def test_bad_parameters_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
