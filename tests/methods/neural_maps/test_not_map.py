"""Neural optimal transport as a method: its forms, what it refuses, saves and reports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from otbench.conformance import TinyPair
from otbench.errors import UsageError
from otbench.interface import MeasurePair, StochasticMap
from otbench.interface.saving import SETTINGS, WEIGHTS
from otbench.interface.training import Budget, Diverged, FitContext
from otbench.ot.w2.network import count
from otbench_datasets.point_pairs.weak_gaussian import WeakGaussian
from otbench_methods.neural_maps.not_map import NOT
from otbench_methods.sampled_maps.weak_discrete import WeakDiscrete
from tests.methods.neural_maps.spoiling import replace_weights

pytestmark = pytest.mark.usefixtures("compile_quickly")

PAIR = TinyPair()
X = PAIR.source(40, torch.Generator().manual_seed(5))
SMALL = {"hidden": (16, 16), "batch": 32, "inner_steps": 2}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(
    method: StochasticMap, steps: int = 2, data: MeasurePair = PAIR, reports: list | None = None
) -> StochasticMap:
    def keep(step: int, steps: int, seconds: float, losses: dict[str, float]) -> None:
        if reports is not None:
            reports.append(losses)

    method.fit(data, FitContext(Budget(steps, 64), 0, on_progress=keep))
    return method


@pytest.fixture(scope="module")
def weak(compile_quickly: None) -> NOT:
    return fitted(NOT(**SMALL))  # type: ignore[arg-type, return-value]


def test_noise_spreads_points_and_a_generator_repeats_it(weak: NOT) -> None:
    first, again, other = (weak.push(X, seeded(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first - other).abs().min() > 0
    # each point has a noise of its own
    same = weak.push(X[:1].expand(40, 2).contiguous(), seeded())
    assert same.std(dim=0).min() > 0
    assert torch.equal(weak.push(X), weak.push(X))


def test_conditional_draws_share_their_noise(weak: NOT) -> None:
    twice = X[:1].repeat(2, 1)
    draws = weak.conditional(torch.cat([twice, X]), 6, seeded())
    assert draws.shape == (42, 6, 2)
    assert torch.equal(draws[0], draws[1])
    assert draws[0].std(dim=0).min() > 0
    mean = weak.barycentric(X, 6, seeded())
    torch.testing.assert_close(mean, draws[2:].mean(dim=1))


def test_the_mean_is_over_the_draws_asked_for(weak: NOT) -> None:
    law = weak.conditional(X, 4000, seeded(9))
    spread = float(law.var(dim=1).sum(dim=1).mean())
    errors = [
        float((weak.barycentric(X, n, seeded()) - law.mean(dim=1)).square().sum(dim=1).mean())
        for n in (8, 2000)
    ]
    assert errors[1] < 0.003 * spread < 0.02 * spread < errors[0] < spread


@pytest.mark.parametrize("cost", ["l2", "l1"])
def test_strong_costs_have_no_noise(cost: str) -> None:
    method = fitted(NOT(**SMALL, cost=cost, gamma=0.0))  # type: ignore[arg-type]
    assert torch.equal(method.push(X, seeded(0)), method.push(X, seeded(1)))
    draws = method.conditional(X, 3, seeded())
    assert draws.shape == (40, 3, 2)
    assert float(draws.var(dim=1).max()) == 0
    assert method.cost_gamma() == (0.0 if cost == "l2" else None)


def test_what_it_reports(weak: NOT) -> None:
    reports: list[dict[str, float]] = []
    method = fitted(NOT(**SMALL, cost="kernel", gamma=0.5), reports=reports)  # type: ignore[arg-type]
    assert method.cost_gamma() is None
    assert weak.cost_gamma() == 1.0
    assert set(reports[-1]) == {
        "map",
        "cost",
        "conditional_variance",
        "potential",
        "spread",
        "collapsed",
    }
    losses = method.potential_losses()
    assert losses is not None
    assert losses.shape == (2,)
    assert reports[-1]["potential"] == pytest.approx(float(losses.mean()), rel=1e-5)


class Far(TinyPair):
    """A target far away and of another size: without units of its own, tiny steps lead nowhere."""

    shift = torch.tensor([900.0, -400.0])
    matrix = torch.tensor([[30.0, 0.0], [0.0, 50.0]])


def test_units_follow_the_target(weak: NOT) -> None:
    method = fitted(NOT(**SMALL), data=Far())  # type: ignore[arg-type]
    mean = method.push(X, seeded()).mean(dim=0)
    # it starts near the identity, in coordinates that have the target at 0
    assert method.map_.scale == pytest.approx((0.5 * (30**2 + 50**2)) ** 0.5, rel=0.05)  # type: ignore[attr-defined]
    np.testing.assert_allclose(method.map_.shift, Far.shift, atol=2)  # type: ignore[attr-defined]
    assert torch.isfinite(mean).all()
    plain = NOT(normalise=False)._units(Far(), FitContext(Budget(1)))
    assert plain[1] == 1
    assert not plain[0].any()


def test_collapse_is_flagged(tmp_path: Path, weak: NOT) -> None:
    """The source is a point of the target's law, and hardly anything is learned."""
    assert weak.status_ == "ok"

    class Point(TinyPair):
        def source(self, n: int, generator: torch.Generator) -> torch.Tensor:
            return torch.zeros(n, 2)

        def target(self, n: int, generator: torch.Generator) -> torch.Tensor:
            return torch.randn(n, 2, generator=generator)

    reports: list[dict[str, float]] = []
    still = NOT(**SMALL, cost="l2", gamma=0.0, lr=1e-9)  # type: ignore[arg-type]
    fitted(still, data=Point(), reports=reports)
    assert reports[-1]["collapsed"] == 1.0
    assert still.status_ == "collapsed"
    still.save(tmp_path)
    assert json.loads((tmp_path / SETTINGS).read_text())["state"]["status_"] == "collapsed"


def test_divergence_ends_training() -> None:
    method = NOT(**SMALL | {"lr": 0.1, "potential_lr": 0.1}, gamma=2.0, bound=1e6)  # type: ignore[arg-type]
    with pytest.raises(Diverged, match="potential's loss became"):
        fitted(method, 300)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cost": "lpips"}, "one of weak, l2, l1, kernel"),
        ({"noise_count": 1}, "at least 2 draws of noise per point, got 1"),
        ({"gamma": 1.2}, "bound the map's output"),
        ({"gamma": -1.0}, "gamma must be at least 0"),
        ({"inner_steps": 0}, "at least 1"),
        ({"hidden": ()}, "hidden must name at least one value"),
        ({"noise_scale": 0.0}, "noise_scale must be above 0"),
        ({"milestones": (0.5, 1.5)}, "every item of milestones must be above 0 and below 1"),
        ({"ema_decay": 1.0}, "ema_decay must be at least 0 and below 1"),
        ({"r1": -1.0}, "r1 must be at least 0"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NOT(**parameters)


def test_the_papers_settings_are_the_papers() -> None:
    import jax
    import jax.numpy as jnp

    paper = NOT.card.paper
    assert paper is not None
    method = NOT(**paper.parameters)
    problem = method._problem(2)
    made = jax.eval_shape(problem.init, jax.random.key(0))
    assert (count(made.map), count(made.potential)) == (20_902, 20_601)
    assert (problem.noise, problem.noise_scale, problem.draws) == (2, 0.1, 4)
    settings = method._settings(paper.steps)
    assert (settings.map.lr, settings.potential.lr, settings.inner_steps) == (1e-4, 1e-4, 10)
    assert (paper.steps, paper.batch_size) == (10_001, 64)
    assert jnp.ones(1).dtype == jnp.float32


@pytest.fixture
def saved(weak: NOT, tmp_path: Path) -> Path:
    weak.save(tmp_path)
    return tmp_path


def test_all_comes_back(saved: Path, weak: NOT) -> None:
    loaded = NOT.load(saved)
    assert loaded == weak
    assert torch.equal(loaded.push(X, seeded()), weak.push(X, seeded()))
    assert torch.equal(loaded.potential_losses(), weak.potential_losses())
    assert loaded.status_ == "ok"
    loaded.save(saved / "again")
    first, second = load_file(saved / WEIGHTS), load_file(saved / "again" / WEIGHTS)
    assert all(np.array_equal(first[name], second[name]) for name in first | second)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a | {"map.bias0": a["map.bias0"][:3]}, r"map: bias0 must have shape \(16,\)"),
        (lambda a: a | {"g.bias0": a["map.bias0"]}, "wanted arrays of map and potential"),
        (lambda a: {k: v for k, v in a.items() if k != "units"}, "lacks units"),
        (lambda a: a | {"potential.bias0": a["potential.bias0"] * np.nan}, "not finite"),
    ],
)
def test_spoilt_weights_are_refused(saved: Path, spoil, message: str) -> None:
    replace_weights(saved, spoil(load_file(saved / WEIGHTS)))
    with pytest.raises(ValueError, match=message):
        NOT.load(saved)


def test_points_of_another_dimension_are_refused(weak: NOT) -> None:
    with pytest.raises(ValueError, match=r"shape \(m, 2\).*got \(4, 3\)"):
        weak.push(torch.zeros(4, 3))


def test_the_weak_plan_draws_by_its_rows(tmp_path: Path) -> None:
    pair = WeakGaussian(2, gamma=1.0, seed=1).load()
    method = WeakDiscrete(sample=60)
    reports: list[dict[str, float]] = []
    fitted(method, 1, pair, reports)  # type: ignore[arg-type]
    x = method.state_["source"]
    draws = method.conditional(x, 2000, seeded())
    # the draws' means are the projection, and every draw is a sampled target point
    gap = (draws.mean(dim=1) - method.barycentric(x, 1, seeded())).abs().max()
    assert gap < 0.12
    apart = draws[:3, :50].flatten(0, 1)[:, None] - method.state_["target"]
    assert bool((apart == 0).all(dim=2).any(dim=1).all())
    spread = float(draws.var(dim=1).sum(dim=1).mean())
    assert spread == pytest.approx(reports[-1]["conditional_variance"], rel=0.05)
    # pushed all at once they have the target's moments
    pushed = torch.cat([method.push(x, seeded(s)) for s in range(100)])
    torch.testing.assert_close(
        pushed.mean(dim=0), method.state_["target"].mean(dim=0), atol=0.05, rtol=0
    )
    method.save(tmp_path)
    loaded = WeakDiscrete.load(tmp_path)
    assert torch.equal(loaded.push(x, seeded()), method.push(x, seeded()))
    with pytest.raises(UsageError, match="gamma must be"):
        WeakDiscrete(gamma=-0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("dim", "limit", "noise"), [(2, 2.0, 0.6), (8, 4.0, 0.4)])
def test_between_gaussians_the_oracle_is_reached(dim: int, limit: float, noise: float) -> None:
    """A minute each; of the noise due, more dimensions take longer to learn theirs."""
    pair = WeakGaussian(dim, gamma=1.0, seed=0).load()
    assert isinstance(pair, MeasurePair)
    method = fitted(NOT(), 1500, pair)
    answer = pair.weak_answer(1.0)
    assert answer is not None
    x = pair.source(500, seeded(3))
    truth = torch.from_numpy(answer.barycentric(x.numpy()))
    variance = pair.target(10_000, seeded(4)).var(dim=0).sum()
    error = (method.barycentric(x, 256, seeded(5)) - truth).square().sum(dim=1).mean()
    assert 100 * float(error / variance) < limit
    spread = method.conditional(x, 256, seeded(6)).var(dim=1).sum(dim=1).mean()
    assert noise < float(spread) / answer.conditional_variance < 1.3
