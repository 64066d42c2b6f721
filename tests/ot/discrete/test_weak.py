"""Answers of weak transport: closed form, plans against another solver, and the kept ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, minimize

from otbench.ot.discrete.weak import discrete_answer, gaussian_answer, plan_answer, weak_plan

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(5, 2)), 1.5 * RNG.normal(size=(5, 2)) + 0.3


def gaussian(gamma: float, sigma=(1.0, 1.0), s=(0.7, 1.8)):
    zero = np.zeros(2)
    return gaussian_answer(zero, np.eye(2), np.array(sigma), zero, np.array(s), gamma)


def test_the_closed_form_at_known_values() -> None:
    """By hand: t = (0.7, 1), so that one axis shrinks and the other keeps its spread."""
    one = gaussian(1.0)
    assert one.cost == pytest.approx(0.045)
    assert one.conditional_variance == pytest.approx(2.24)
    np.testing.assert_allclose(one.barycentric(np.array([[2.0, 3.0]])), [[1.4, 3.0]])
    half = gaussian(0.5)
    assert half.conditional_variance == pytest.approx(0)
    assert half.cost == pytest.approx(0.5 * (0.09 + 0.64))
    assert gaussian(0.0).cost == pytest.approx(half.cost)


def test_the_closed_form_turns_and_shifts_with_the_laws() -> None:
    angle = 0.4
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mean, to = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    answer = gaussian_answer(mean, axes, np.ones(2), to, np.array([0.7, 1.8]), 1.0)
    plain = gaussian(1.0)
    x = RNG.normal(size=(7, 2))
    np.testing.assert_allclose(
        answer.barycentric(mean + x @ axes.T), to + plain.barycentric(x) @ axes.T
    )
    assert answer.cost == pytest.approx(plain.cost + 0.5 * ((mean - to) ** 2).sum())


def test_the_closed_form_is_what_a_large_plan_comes_to() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(128, 2)), rng.normal(size=(128, 2)) * (0.7, 1.8)
    found, exact = discrete_answer(x, y, 1.0), gaussian(1.0)
    gap = ((found.images - exact.barycentric(x)) ** 2).sum(1).mean() / (0.49 + 3.24)
    assert gap < 0.03
    assert found.variances.mean() == pytest.approx(2.24, rel=0.15)


def weak_cost(plan: np.ndarray, gamma: float) -> float:
    return plan_answer(plan, X, Y, gamma).cost


@pytest.mark.parametrize("gamma", [0.4, 1.0, 2.0])
def test_plans_minimise_the_cost_for_every_gamma(gamma: float) -> None:
    """SciPy's SLSQP on the cost itself, without the scaling that POT is asked through."""

    def cost(flat: np.ndarray) -> float:
        return weak_cost(np.maximum(flat, 0).reshape(5, 5) + 1e-15, gamma)

    sums = [{"type": "eq", "fun": lambda p, i=i: p.reshape(5, 5)[i].sum() - 0.2} for i in range(5)]
    sums += [
        {"type": "eq", "fun": lambda p, j=j: p.reshape(5, 5)[:, j].sum() - 0.2} for j in range(4)
    ]
    best = minimize(
        cost, np.full(25, 0.04), bounds=[(0, 1)] * 25, constraints=sums, options={"maxiter": 300}
    )
    plan = weak_plan(X, Y, gamma)
    np.testing.assert_allclose(plan.sum(0), 0.2, atol=1e-9)
    np.testing.assert_allclose(plan.sum(1), 0.2, atol=1e-9)
    assert weak_cost(plan, gamma) == pytest.approx(best.fun, abs=5e-3)


def test_without_gamma_the_plan_is_the_best_assignment() -> None:
    costs = ((X[:, None] - Y) ** 2).sum(-1)
    rows, columns = linear_sum_assignment(costs)
    answer = discrete_answer(X, Y, 0.0)
    assert answer.cost == pytest.approx(costs[rows, columns].mean() / 2)
    np.testing.assert_allclose(answer.variances, 0, atol=1e-12)
    np.testing.assert_allclose(answer.images, Y[columns])


def test_a_target_that_is_the_source_spread_out_costs_nothing() -> None:
    x = np.array([[0.0, 0.0], [10.0, 0.0]])
    y = np.concatenate([x + np.array([0, 1]), x - np.array([0, 1])])
    answer = discrete_answer(x, y, 1.0)
    assert answer.cost == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(answer.variances, 1, atol=1e-3)
    assert (answer.variances.mean()) == pytest.approx(
        (y**2).sum(1).mean() - (answer.images**2).sum(1).mean()
    )


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(ValueError, match="not be negative"):
        weak_plan(X, Y, -1.0)


def test_answers_are_kept_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "deeper" / "answer.npz"
    first = discrete_answer(X, Y, 1.0, file)
    assert [path.name for path in file.parent.iterdir()] == ["answer.npz"]
    again = discrete_answer(X, Y, 1.0, file)
    np.testing.assert_array_equal(again.images, first.images)
    assert again.cost == first.cost
    # what is read is the file: another one's content comes back
    np.savez(file, images=first.images + 1, variances=first.variances, cost=np.array(7.0))
    assert discrete_answer(X, Y, 1.0, file).cost == 7
    # a file that is broken is computed again, and replaced
    file.write_bytes(file.read_bytes()[:-30])
    assert discrete_answer(X, Y, 1.0, file).cost == first.cost
    with np.load(file) as kept:
        assert kept["cost"] == first.cost
    # a folder that cannot be written to costs time only
    (tmp_path / "taken").write_text("")
    assert discrete_answer(X, Y, 1.0, tmp_path / "taken" / "a.npz").cost == first.cost
