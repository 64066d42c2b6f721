"""The conjugate solver against closed forms, scipy and finite differences."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from otbench.ot.conjugate import conjugate, gradient_of
from otbench.ot.icnn import icnn, init_icnn


def quadratic(matrix):
    return lambda x: 0.5 * jnp.einsum("ni,ij,nj->n", x, matrix, x)


@pytest.fixture(scope="module")
def curved():
    """A random convex potential in five dimensions, far from a quadratic one."""
    key = jax.random.key(3)
    sample = 2 * jax.random.normal(key, (512, 5))
    parameters = init_icnn(key, sample, (16, 8))
    grown = {
        name: value + 0.3 * jax.random.uniform(key, value.shape) if "output" in name else value
        for name, value in parameters.items()
    }
    return jax.jit(partial(icnn, grown))


@pytest.mark.parametrize("condition", [1.0, 10.0, 100.0])
def test_quadratic_conjugate_is_the_inverse_matrix(condition):
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    matrix = (axes * np.geomspace(0.5, 0.5 * condition, 6)) @ axes.T
    y = rng.normal(size=(40, 6))
    found = conjugate(
        quadratic(jnp.asarray(matrix, jnp.float32)),
        jnp.asarray(y, jnp.float32),
        jnp.zeros((40, 6)),
        tolerance=1e-3,
        max_iterations=100,
    )
    assert float(found.residual.max()) <= 1e-3
    # the least eigenvalue is 0.5, six entries of residual
    np.testing.assert_allclose(found.points, np.linalg.solve(matrix, y.T).T, atol=5e-3)


def test_agrees_with_scipy(curved):
    y = np.random.default_rng(1).normal(size=(12, 5)) * 3
    found = conjugate(
        curved, jnp.asarray(y, jnp.float32), jnp.zeros((12, 5)), tolerance=1e-4, max_iterations=100
    )
    assert int(found.iterations.max()) < 100

    evaluate = jax.jit(lambda x: (curved(x), gradient_of(curved)(x)))

    def objective(x, target):
        value, gradient = evaluate(jnp.asarray(x, jnp.float32)[None])
        return float(value[0]) - x @ target, np.asarray(gradient[0], np.float64) - target

    for point, target in zip(found.points, y, strict=True):
        other = minimize(objective, np.zeros(5), args=(target,), jac=True, method="L-BFGS-B")
        np.testing.assert_allclose(point, other.x, atol=5e-3)


def test_gradient_of_the_conjugate_is_the_maximiser(curved):
    """Envelope theorem: finite differences of f* give back the solver's points."""
    y = jnp.asarray(np.random.default_rng(2).normal(size=(4, 5)), jnp.float32)
    solve = jax.jit(partial(conjugate, curved, tolerance=1e-4, max_iterations=100))

    def value(targets):
        points = solve(targets, targets).points
        return jnp.sum(points * targets, axis=1) - curved(points)

    step = 0.05
    shifts = step * jnp.eye(5)
    differences = [(value(y + s) - value(y - s)) / (2 * step) for s in shifts]
    np.testing.assert_allclose(jnp.stack(differences, 1), solve(y, y).points, atol=5e-3)


def test_a_start_far_too_short_of_curvature_recovers():
    """Where even the shortest candidate overshoots, the solver shrinks its scale and goes on."""
    matrix = jnp.asarray([[1e5, 0.0], [0.0, 2e5]])
    found = conjugate(
        quadratic(matrix),
        jnp.ones((3, 2)),
        10 * jnp.ones((3, 2)),
        tolerance=1e-2,
        max_iterations=60,
    )
    np.testing.assert_allclose(found.points, [[1e-5, 5e-6]] * 3, atol=1e-6)


def test_a_solved_start_takes_no_step_and_a_cap_is_kept(curved):
    x = jnp.asarray(np.random.default_rng(3).normal(size=(7, 5)), jnp.float32)
    y = gradient_of(curved)(x)
    found = conjugate(curved, y, x, tolerance=1e-3, max_iterations=50)
    assert int(found.iterations.max()) == 0
    capped = conjugate(curved, y, x + 5, tolerance=1e-6, max_iterations=2)
    assert int(capped.iterations.max()) == 2
    assert float(capped.residual.max()) > 1e-6


def test_the_residual_is_measured_in_the_given_basis(curved):
    y = jnp.ones((2, 5))
    found = conjugate(
        curved, y, y, tolerance=1e-3, max_iterations=50, change_basis=lambda r: 100 * r
    )
    assert float(found.residual.max()) <= 1e-3
    assert float(jnp.abs(gradient_of(curved)(found.points) - y).max()) <= 1.2e-5
