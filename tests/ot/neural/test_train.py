"""Saddle-point training: updates, switches, the Gaussian oracle, divergence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from otbench.ot.discrete.weak import gaussian_answer
from otbench.ot.neural.networks import map_network, potential, relu_mlp
from otbench.ot.neural.problem import Pair, Problem
from otbench.ot.neural.rules import annealed_gamma
from otbench.ot.neural.train import Report, Settings, train
from otbench.ot.training import Schedule
from otbench.ot.w2.network import count

pytestmark = pytest.mark.usefixtures("compile_quickly")

HIDDEN = (16, 16)


def problem(cost: str = "weak", gamma: float = 1.0, draws: int = 4, bound: float = 0.0) -> Problem:
    t = map_network(2, 2, HIDDEN, True, bound)
    return Problem(t, potential(2, HIDDEN), cost, gamma, 2, 1.0, draws, bound > 0)


def normal(spread: tuple[float, float], n: int = 64) -> Callable[[Array], Array]:
    return lambda key: jax.random.normal(key, (n, 2)) * jnp.array(spread)


SOURCE, TARGET = normal((1.0, 1.0)), normal((0.7, 1.8))


def settings(steps: int, inner_steps: int, lr: float, **schedule: Any) -> Settings:
    constant = {"final_lr": 1.0, "warm_up": 0.0, "betas": (0.9, 0.999), "ema_decay": 0.0}
    return Settings(Schedule(steps, lr, **constant | schedule), lr, inner_steps)


SETTINGS = settings(4, 3, 1e-2)


def moved_by(a: object, b: object) -> float:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(abs(x - y).max()) for x, y in pairs)


@pytest.fixture(scope="module")
def two_steps(compile_quickly: None) -> tuple[Pair, list[Report]]:
    """Return where training starts, and one report for each of two averaged steps."""
    one = problem()
    start = one.init(jax.random.key(0))
    schedule = settings(2, 3, 1e-2, ema_decay=0.9)
    return start, list(train(one, start, SOURCE, TARGET, schedule, jax.random.key(1), 1))


def test_the_papers_networks_have_the_papers_sizes() -> None:
    paper = (100, 100, 100)
    for network, parameters in (
        (map_network(2, 2, paper, False, 0.0), 20_902),
        (potential(2, paper), 20_601),
        (map_network(1, 1, paper, False, 0.0), 20_601),
        (potential(1, paper), 20_501),
    ):
        made = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 1)))
        assert count(made) == parameters


def test_networks_start_as_stated() -> None:
    made = relu_mlp(50, (400,), 3).init(jax.random.key(0), jnp.zeros((1, 50)))
    assert float(made["kernel0"].std()) == pytest.approx((2 / 50) ** 0.5, rel=0.02)
    assert float(abs(made["bias0"]).max()) == pytest.approx(50**-0.5, rel=0.02)
    with pytest.raises(ValueError, match="at least 1 unit"):
        relu_mlp(2, (), 1)


def test_a_bounded_map_stays_within_its_bound() -> None:
    network = map_network(2, 2, HIDDEN, False, 1.5)
    made = jax.tree.map(lambda a: 100 * a, network.init(jax.random.key(0), jnp.zeros((1, 4))))
    moved = network.apply(made, jax.random.normal(jax.random.key(1), (500, 4)))
    assert 1.4 < float(abs(moved).max()) <= 1.5


def test_one_step_moves_both_networks_and_the_rates_say_how_far(
    two_steps: tuple[Pair, list[Report]],
) -> None:
    start, (report, _) = two_steps
    # Adam's first update is the rate in every coordinate; T has three, f one.
    assert 0.01 <= moved_by(report.parameters.map, start.map) <= 0.0301
    assert moved_by(report.parameters.potential, start.potential) == pytest.approx(0.01, rel=1e-3)
    assert len(report.potential_losses) == 1


def test_the_average_starts_as_a_plain_mean(two_steps: tuple[Pair, list[Report]]) -> None:
    _, (first, second) = two_steps
    assert moved_by(first.averaged, first.parameters.map) == 0
    mean = jax.tree.map(lambda a, b: (a + b) / 2, first.parameters.map, second.parameters.map)
    assert moved_by(second.averaged, mean) < 1e-6


def test_each_network_descends_its_own_loss_alone() -> None:
    one, key = problem(), jax.random.key(3)
    start = one.init(key)
    x, y, z = SOURCE(key), TARGET(key), jax.random.normal(key, (64, 4, 2))
    loss, parts = one.map_loss(start.map, start.potential, x, z, 1.0)
    moved = one.carry(start.map, x, z)
    scores = one.potential.apply(start.potential, moved.reshape(-1, 2)).mean()
    assert float(loss) == pytest.approx(float(parts["cost"] - scores), rel=1e-4)
    assert float(one.potential_loss(start.potential, moved[:, 0], y)) == pytest.approx(
        float(
            one.potential.apply(start.potential, moved[:, 0]).mean()
            - one.potential.apply(start.potential, y).mean()
        ),
        abs=1e-5,
    )


def test_a_constant_added_to_the_potential_changes_no_gradient() -> None:
    one, key = problem(), jax.random.key(3)
    start = one.init(key)
    x, y, z = SOURCE(key), TARGET(key), jax.random.normal(key, (64, 4, 2))
    shifted = start.potential | {"bias2": start.potential["bias2"] + 5.0}
    moved = one.carry(start.map, x, z)[:, 0]
    for loss in (
        lambda f: jax.grad(one.map_loss, has_aux=True)(start.map, f, x, z, 1.0)[0],
        lambda f: jax.grad(one.potential_loss)(f, moved, y),
    ):
        assert moved_by(loss(start.potential), loss(shifted)) < 1e-5


def test_draws_share_their_point_and_not_their_noise() -> None:
    one = problem()
    start = one.init(jax.random.key(0))
    x, z = SOURCE(jax.random.key(1))[:5], jax.random.normal(jax.random.key(2), (5, 4, 2))
    moved = one.carry(start.map, x, z)
    rows = jnp.concatenate([x[3], z[3, 2]])[None]
    np.testing.assert_allclose(moved[3, 2], one.map.apply(start.map, rows)[0], rtol=1e-5)


def test_r1_is_half_the_mean_squared_slope() -> None:
    one, key = problem(), jax.random.key(3)
    f = one.init(key).potential
    y = TARGET(key)
    step = 1e-2
    value = partial(one.potential.apply, f)
    slopes = [(value(y + step * axis) - value(y - step * axis)) / (2 * step) for axis in jnp.eye(2)]
    expected = 0.5 * 3.0 * float(sum(s**2 for s in slopes).mean())
    both = [float(one.potential_loss(f, y, y, r1)) for r1 in (0.0, 3.0)]
    assert both[1] - both[0] == pytest.approx(expected, rel=0.02)


def test_gamma_rises_linearly_and_stays() -> None:
    wanted = [0, 0.16, 0.8, 0.8]
    for number, minimum in ((float, min), (jnp.asarray, jnp.minimum)):
        rise = [float(annealed_gamma(0.8, number(t), 25, minimum)) for t in (0, 5, 25, 80)]
        assert rise == pytest.approx(wanted)
    assert annealed_gamma(0.8, 3, 0) == 0.8


def test_both_rates_are_halved_after_the_same_steps() -> None:
    chosen = settings(4, 3, 0.1, milestones=(0.5,))
    optimisers = replace(chosen, map_lr=0.2).optimisers()
    gradient = {"a": jnp.ones(1)}
    for optimiser, rate, updates in ((optimisers.map, 0.2, 3), (optimisers.potential, 0.1, 1)):
        state, lengths = optimiser.init(gradient), []
        for _ in range(4 * updates):
            change, state = optimiser.update(gradient, state, gradient)
            lengths.append(-float(change["a"][0]))
        wanted = [rate] * 2 * updates + [rate / 2] * 2 * updates
        assert lengths == pytest.approx(wanted, rel=1e-3)


def test_clipping_bounds_the_gradient_that_adam_sees() -> None:
    optimiser = settings(4, 3, 1e-2, clip=1e-3).optimisers().potential
    gradient = {"a": jnp.array([3.0, 4.0])}
    _, state = optimiser.update(gradient, optimiser.init(gradient), gradient)
    moments = [leaf for leaf in jax.tree.leaves(state) if leaf.shape == (2,)]
    assert float(jnp.linalg.norm(moments[0])) == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_between_gaussians_training_finds_the_closed_form() -> None:
    """Barycentric map within 5 percent of the target's variance, and most of the noise due."""
    one = problem(draws=4)
    schedule = settings(500, 10, 3e-3, milestones=(0.8,), ema_decay=0.98)
    last = list(
        train(one, one.init(jax.random.key(0)), SOURCE, TARGET, schedule, jax.random.key(1), 250)
    )[-1]
    exact = gaussian_answer(
        np.zeros(2), np.eye(2), np.ones(2), np.zeros(2), np.array([0.7, 1.8]), 1.0
    )
    x = normal((1.0, 1.0), 300)(jax.random.key(5))
    z = jnp.broadcast_to(jax.random.normal(jax.random.key(6), (1, 200, 2)), (300, 200, 2))
    moved = np.asarray(one.carry(last.averaged, x, z), np.float64)
    error = ((moved.mean(1) - exact.barycentric(np.asarray(x))) ** 2).sum(1).mean()
    before = ((np.asarray(x) - exact.barycentric(np.asarray(x))) ** 2).sum(1).mean()
    variance = 0.7**2 + 1.8**2
    assert 100 * error / variance < 5 < 1000 * before / variance
    assert 0.6 < moved.var(axis=1).sum(1).mean() / 2.24 < 1.3


def test_a_cost_without_a_minimum_diverges() -> None:
    """Gamma 2: the further a map spreads the less it costs; the bound is too wide to hold it."""
    schedule = settings(400, 10, 1e-2)
    one = problem(gamma=2.0, bound=1e6)
    with pytest.raises(FloatingPointError, match=r"loss became -?\d.* \(step \d+\)"):
        list(train(one, one.init(jax.random.key(0)), SOURCE, TARGET, schedule, jax.random.key(1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner_steps": 0}, "at least 1"),
        ({"map_lr": 0.0}, "map_lr must be positive"),
        ({"annealing": 2.0}, "annealing must lie"),
        ({"r1": -1.0}, "must not be negative"),
    ],
)
def test_bad_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **change)
