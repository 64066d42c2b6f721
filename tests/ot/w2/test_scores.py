"""Scores of maps against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from otbench.ot.gaussian import bures_map, bures_wasserstein
from otbench.ot.w2.scores import (
    cosine,
    dual_to_half_squared_w2,
    half_squared_w2,
    total_variance,
    uvp,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3))
TRUTH = X * [2.0, 1.0, 0.5] + 1


def test_uvp_of_the_truth_the_mean_and_a_shift():
    assert uvp(TRUTH, TRUTH) == 0
    constant = np.broadcast_to(TRUTH.mean(axis=0), TRUTH.shape)
    assert uvp(constant, TRUTH) == pytest.approx(100)
    shift = np.array([1.0, -2.0, 0.5])
    assert uvp(TRUTH + shift, TRUTH, variance=5.25) == pytest.approx(100)
    assert uvp(TRUTH + shift, TRUTH) == pytest.approx(525 / total_variance(TRUTH))


def test_total_variance_adds_coordinates():
    assert total_variance([[0.0, 1.0], [2.0, 5.0]]) == pytest.approx(1 + 4)


def test_cosine_of_known_angles():
    assert cosine(X, TRUTH, TRUTH) == pytest.approx(1)
    assert cosine(X, X + 3 * (TRUTH - X), TRUTH) == pytest.approx(1)
    assert cosine(X, 2 * X - TRUTH, TRUTH) == pytest.approx(-1)
    right, diagonal = X + np.array([1.0, 0, 0]), X + np.array([1.0, 1, 0])
    assert cosine(X, right, diagonal) == pytest.approx(np.sqrt(0.5))


def test_half_squared_w2_of_gaussians():
    """For an empirical law and its affine Brenier image the Gaussian formula is exact."""
    matrix, offset = np.diag([2.0, 1.0, 0.5]), np.ones(3)
    mean, covariance = X.mean(axis=0), np.cov(X.T, ddof=0)
    image = (matrix @ mean + offset, matrix @ covariance @ matrix)
    again, shift = bures_map(mean, covariance, *image)
    np.testing.assert_allclose(again, matrix, atol=1e-6)
    np.testing.assert_allclose(shift, offset, atol=1e-6)
    expected = bures_wasserstein(mean, covariance, *image) / 2
    assert half_squared_w2(X, TRUTH) == pytest.approx(expected, rel=1e-6)
    greatest_correlation = (X * TRUTH).sum(axis=1).mean()
    assert dual_to_half_squared_w2(greatest_correlation, X, TRUTH) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda: uvp(X, X[:3]), r"one shape \(m, n\)"),
        (lambda: uvp(X[:, 0], X[:, 0]), r"one shape \(m, n\)"),
        (lambda: uvp(X[:0], X[:0]), "m >= 1"),
        (lambda: uvp(X[:1], X[:1]), "variance must be positive"),
        (lambda: cosine(X, X, TRUTH), "moves no point"),
    ],
)
def test_bad_input_is_named(score, message):
    with pytest.raises(ValueError, match=message):
        score()
