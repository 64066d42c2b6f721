"""Estimates of weak costs against closed forms and many draws; what makes no problem."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from otbench.ot.neural.costs import COSTS, check_cost, conditional_variance

pytestmark = pytest.mark.usefixtures("strict_promotion")

X = np.array([0.7, -1.2, 0.4])
MEAN = np.array([1.0, 0.5, -0.3])
ROOT = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.5, 0.2, 1.5]])
VARIANCE = float(np.trace(ROOT @ ROOT.T))


def drawn(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    y = np.random.default_rng(seed).normal(size=(n, k, 3)) @ ROOT.T + MEAN
    return np.broadcast_to(X, (n, 3)), y


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize("k", [2, 4])
def test_few_draws_estimate_the_weak_quadratic_cost_without_bias(gamma: float, k: int) -> None:
    costs = COSTS["weak"](*drawn(200_000, k), gamma)
    exact = 0.5 * ((X - MEAN) ** 2).sum() + 0.5 * (1 - gamma) * VARIANCE
    assert costs.mean() == pytest.approx(exact, abs=4 * costs.std() / len(costs) ** 0.5)
    assert 4 * costs.std() / len(costs) ** 0.5 < 0.03
    # many draws at once come to the same
    assert COSTS["weak"](*drawn(50, 4000), gamma).mean() == pytest.approx(exact, abs=0.05)


def test_the_naive_estimate_would_have_failed() -> None:
    """The variance over k in place of the right factor is off by far more than the tolerance."""
    x, y = drawn(200_000, 2)
    naive = 0.5 * ((x - y.mean(1)) ** 2).sum(-1).mean() + 0.0
    exact = 0.5 * ((X - MEAN) ** 2).sum()
    assert naive - exact == pytest.approx(VARIANCE / 4, rel=0.05)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_few_draws_estimate_the_kernel_cost_without_bias(gamma: float) -> None:
    few = COSTS["kernel"](*drawn(100_000, 2), gamma)
    many = COSTS["kernel"](*drawn(100, 200, seed=1), gamma)
    assert few.mean() == pytest.approx(many.mean(), abs=0.02)


def test_the_kernel_cost_of_two_points_on_the_line() -> None:
    # mu even on 1 and 3, x = 0: E|x - Y| = 2, E|Y - Y'| = 1 for independent Y, Y'; draws that are
    # sure to differ have E|Y - Y'| = 2
    x, y = np.zeros((1, 1)), np.array([[[1.0], [3.0]]])
    assert COSTS["kernel"](x, y, 1.0)[0] == pytest.approx(0.5 * 2 - 0.25 * 2, abs=1e-6)


def test_strong_costs_by_hand() -> None:
    x, y = np.array([[1.0, 2.0]]), np.array([[[4.0, -2.0]], [[1.0, 2.0]]])[:1]
    assert COSTS["l2"](x, y, 0.0)[0] == pytest.approx(12.5)
    assert COSTS["l1"](x, y, 0.0)[0] == pytest.approx(7)
    assert COSTS["weak"](x, y, 0.0)[0] == pytest.approx(12.5)


def test_gamma_zero_is_the_strong_cost_draw_by_draw() -> None:
    x, y = drawn(20, 5)
    np.testing.assert_allclose(COSTS["weak"](x, y, 0.0), COSTS["l2"](x, y, 0.0))


def test_the_conditional_variance_is_numpys() -> None:
    _, y = drawn(6, 5)
    np.testing.assert_allclose(conditional_variance(y), y.var(axis=1, ddof=1).sum(axis=1))


@pytest.mark.parametrize("cost", list(COSTS))
def test_jax_comes_to_the_same_and_has_gradients_where_draws_coincide(cost: str) -> None:
    x, y = drawn(4, 3)
    found = COSTS[cost](jnp.asarray(x), jnp.asarray(y), 0.5)
    np.testing.assert_allclose(np.asarray(found), COSTS[cost](x, y, 0.5), rtol=1e-5)
    same = jnp.ones((4, 3, 3))
    slope = jax.grad(lambda y: COSTS[cost](jnp.ones((4, 3)), y, 0.5).sum())(same)
    assert bool(jnp.isfinite(slope).all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("l3", 0.0, 4, False), "one of weak, l2, l1, kernel, got 'l3'"),
        (("weak", 0.5, 1, False), "at least 2 draws of noise per point, got 1"),
        (("kernel", 0.5, 1, False), "at least 2 draws"),
        (("weak", 1.5, 4, False), "gamma 1.5 above 1.*bound the map"),
        (("weak", -0.1, 4, False), "not be negative"),
        (("l2", 0.0, 0, False), "at least 1 draw"),
    ],
)
def test_what_makes_no_problem_is_refused(
    arguments: tuple[str, float, int, bool], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_cost(*arguments)


def test_what_makes_a_problem_passes() -> None:
    check_cost("weak", 0.0, 1, False)
    check_cost("weak", 1.0, 2, False)
    check_cost("weak", 2.0, 2, True)
    check_cost("l1", 1.0, 1, False)
