"""The cascaded solvers against closed forms, scipy, OTT-JAX and the work they claim to save."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from otbench.ot.gaussian import bures_map
from otbench.ot.gradients import gradient_of
from otbench.ot.w2.adam import Adam
from otbench.ot.w2.conjugate import euclidean
from otbench.ot.w2.icnn import icnn
from otbench.ot.w2.lbfgs import LBFGS
from otbench.ot.w2.solvers import SOLVERS

pytestmark = pytest.mark.usefixtures("strict_promotion")

PRECISE = SOLVERS["lbfgs-high-precision"]
ICNN = icnn(5, (16, 8))


def draw(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.fixture(scope="module")
def curved():
    """A random convex potential in five dimensions, far from a quadratic one."""
    start = ICNN.init(jax.random.key(0), draw(256, 5))
    moved = {
        name: value + 0.5 * draw(*value.shape, seed=k)
        for k, (name, value) in enumerate(sorted(start.items()))
    }
    return jax.jit(partial(ICNN.apply, moved))


@pytest.mark.parametrize("name", ["lbfgs-high-precision", "adam"])
def test_gaussians_are_conjugated_by_the_reverse_bures_map(name):
    """f is the Brenier potential from one Gaussian to another; grad f* is the map back."""
    rng = np.random.default_rng(0)
    a, b = (m @ m.T + np.eye(4) for m in rng.normal(size=(2, 4, 4)))
    forth, _ = bures_map(np.zeros(4), a, np.zeros(4), b)
    back, _ = bures_map(np.zeros(4), b, np.zeros(4), a)
    matrix = jnp.asarray(forth, jnp.float32)
    y = rng.normal(size=(200, 4))
    solver = replace(SOLVERS[name], max_iterations=1000)
    found = solver(
        lambda x: 0.5 * jnp.sum((x @ matrix) * x, -1),
        jnp.asarray(y, jnp.float32),
        jnp.zeros((200, 4)),
    )
    assert float(found.residual.max()) <= solver.tolerance
    bound = 2 * solver.tolerance / np.linalg.eigvalsh(forth)[0]  # two: the norm of four entries
    assert np.linalg.norm(found.points - y @ back, axis=1).max() <= bound


def test_log_sum_exp_has_the_negative_entropy_as_conjugate():
    y = np.random.default_rng(1).dirichlet(np.full(6, 2.0), size=100)
    targets = jnp.asarray(y, jnp.float32)
    f = partial(jax.nn.logsumexp, axis=-1)
    found = PRECISE(f, targets, jnp.zeros((100, 6)))
    assert float(found.residual.max()) <= 1e-3
    np.testing.assert_allclose(jax.nn.softmax(found.points), y, atol=1.1e-3)
    values = jnp.sum(found.points * targets, -1) - f(found.points)
    np.testing.assert_allclose(values, (y * np.log(y)).sum(1), atol=1e-3)


def test_an_ill_conditioned_quadratic():
    rng = np.random.default_rng(2)
    axes, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    matrix = (axes * np.geomspace(0.5, 250.0, 6)) @ axes.T
    y = rng.normal(size=(40, 6))
    found = PRECISE(
        lambda x: 0.5 * jnp.sum((x @ jnp.asarray(matrix, jnp.float32)) * x, -1),
        jnp.asarray(y, jnp.float32),
        jnp.zeros((40, 6)),
    )
    assert float(found.residual.max()) <= 1e-3
    np.testing.assert_allclose(found.points, np.linalg.solve(matrix, y.T).T, atol=5e-3)


def test_agrees_with_scipy(curved):
    y = np.random.default_rng(1).normal(size=(6, 5)) * 3
    found = replace(PRECISE, tolerance=1e-4)(curved, jnp.asarray(y, jnp.float32), jnp.zeros((6, 5)))
    assert int(found.iterations.max()) < 100
    evaluate = jax.jit(lambda x: (curved(x), gradient_of(curved)(x)))

    def objective(x, target):
        value, gradient = evaluate(jnp.asarray(x, jnp.float32)[None])
        return float(value[0]) - x @ target, np.asarray(gradient[0], np.float64) - target

    for point, target in zip(found.points, y, strict=True):
        other = minimize(objective, np.zeros(5), args=(target,), jac=True, method="L-BFGS-B")
        np.testing.assert_allclose(point, other.x, atol=5e-3)


@pytest.mark.slow
def test_agrees_with_ott(curved, ott_neural):
    y = draw(64, 5, seed=3, scale=2.0)
    other = ott_neural.conjugate.FenchelConjugateLBFGS(gtol=1e-3, max_iter=100)
    theirs = jax.jit(jax.vmap(lambda p: other.solve(lambda x: curved(x[None])[0], p, p).grad))(y)
    ours = jax.jit(partial(replace(PRECISE, size=euclidean), curved))(y, y)
    assert float(ours.residual.max()) <= 1e-3
    np.testing.assert_allclose(ours.points, theirs, atol=5e-3)
    np.testing.assert_allclose(
        ours.residual, jnp.linalg.norm(gradient_of(curved)(ours.points) - y, axis=1), atol=1e-5
    )


@pytest.mark.parametrize("kind", [LBFGS, Adam])
def test_a_batch_is_solved_as_its_points_would_be(curved, kind):
    """Splitting the batch changes neither the points nor the iterations."""
    solver = jax.jit(partial(kind(0.01, 60), curved))
    y = draw(128, 5, seed=4) * jnp.geomspace(0.01, 4, 128)[:, None]
    whole = solver(y, y)
    assert int(whole.iterations.min()) + 3 < int(whole.iterations.max())
    alone = [solver(part, part) for part in jnp.split(y, 8)]
    for name in ("points", "iterations", "residual"):
        pieces = jnp.concatenate([getattr(found, name) for found in alone])
        np.testing.assert_allclose(getattr(whole, name), pieces, atol=2e-3)


def test_finished_points_stop_costing():
    """Twenty late points of a thousand: rows evaluated, counted at run time."""
    evaluated = []
    curvature = jnp.asarray([1.0, 4.0, 30.0, 200.0])

    def f(x):
        jax.debug.callback(lambda: evaluated.append(len(x)))
        return 0.5 * jnp.sum(x * x * curvature[None], -1)

    y = jnp.ones((1024, 4))
    start = y / curvature[None]
    start = start.at[:20].add(draw(20, 4, seed=5))
    found = jax.jit(partial(LBFGS(tolerance=1e-3, max_iterations=200), f))(y, start)
    jax.effects_barrier()
    steps = int(found.iterations.max())
    assert steps > 10
    assert int(found.iterations[20:].max()) == 0
    # the first gradient takes all rows; then at most 64 rows a step, and twice 64 in a search
    assert 1024 <= sum(evaluated) <= 1024 + steps * 64 * 8
    assert sum(evaluated) < 0.6 * 1024 * steps


def test_a_start_far_too_short_of_curvature_recovers():
    """Where even the shortest candidate overshoots, the solver shrinks its scale and goes on."""
    f = lambda x: 0.5 * jnp.sum(x * x * jnp.asarray([[1e5, 2e5]]), -1)  # noqa: E731
    found = LBFGS(tolerance=1e-2)(f, jnp.ones((3, 2)), 10 * jnp.ones((3, 2)))
    np.testing.assert_allclose(found.points, [[1e-5, 5e-6]] * 3, atol=1e-6)


def test_points_without_descent_are_given_up():
    """Where the value is not finite all around, the loop ends long before its cap."""
    f = lambda x: jnp.where(jnp.sum(x * x, -1) > 1, jnp.nan, 1.0) * jnp.sum(x, -1)  # noqa: E731
    start = jnp.full((40, 2), np.sqrt(0.5), jnp.float32) - 1e-7
    found = LBFGS(tolerance=1e-3, max_iterations=1000)(f, jnp.full((40, 2), 3.0), start)
    assert int(found.iterations.max()) < 50
    assert bool(jnp.all(jnp.isfinite(found.points)))
    np.testing.assert_allclose(found.residual, 2.0, atol=1e-4)


def test_a_solved_start_takes_no_step_and_a_cap_is_kept(curved):
    x = draw(7, 5, seed=6)
    y = gradient_of(curved)(x)
    solver = jax.jit(partial(LBFGS(tolerance=1e-3, max_iterations=2), curved))
    assert int(solver(y, x).iterations.max()) == 0
    capped = solver(y, x + 5)
    assert int(capped.iterations.max()) == 2
    assert float(capped.residual.max()) > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LBFGS(tolerance=0.0), "tolerance must be positive, got 0.0"),
        (lambda: LBFGS(max_iterations=0), "at least 1"),
        (lambda: LBFGS(candidates=1), "candidates at least 2"),
        (lambda: LBFGS()(jnp.sum, jnp.zeros((3, 2)), jnp.zeros((3, 3))), r"\(3, 2\) and \(3, 3\)"),
        (lambda: LBFGS()(jnp.sum, jnp.zeros(3), jnp.zeros(3)), r"shape \(n, d\)"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
