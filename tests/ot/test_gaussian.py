"""Maps between Gaussian laws against closed forms and POT."""

from __future__ import annotations

import os

import numpy as np
import pytest

from otbench.ot.gaussian import WhitenedCoordinates, bures_map, bures_wasserstein, floored, power


def law(dimension: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(dimension, dimension))
    return rng.normal(size=dimension), root @ root.T + 0.1 * np.eye(dimension)


@pytest.fixture(scope="module")
def pot():
    for library in ("JAX", "TENSORFLOW", "CUPY"):
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{library}", "1")
    return pytest.importorskip("ot")


@pytest.mark.parametrize("dimension", [1, 2, 7])
def test_map_and_distance_agree_with_pot(pot, dimension):
    (m0, s0), (m1, s1) = law(dimension, 0), law(dimension, 1)
    matrix, offset = bures_map(m0, s0, m1, s1)
    expected, shift = pot.gaussian.bures_wasserstein_mapping(m0, m1, s0, s1)
    np.testing.assert_allclose(matrix, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(offset, np.ravel(shift), rtol=1e-6, atol=1e-8)
    distance = pot.gaussian.bures_wasserstein_distance(m0, m1, s0, s1)
    np.testing.assert_allclose(bures_wasserstein(m0, s0, m1, s1), distance**2, rtol=1e-6)


def test_map_carries_the_covariance_and_is_a_gradient():
    (m0, s0), (m1, s1) = law(5, 2), law(5, 3)
    matrix, offset = bures_map(m0, s0, m1, s1)
    np.testing.assert_allclose(matrix @ s0 @ matrix.T, s1, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(matrix @ m0 + offset, m1, atol=1e-10)
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_one_dimension_by_hand():
    matrix, offset = bures_map(np.array([1.0]), np.array([[4.0]]), np.array([5.0]), np.array([[9]]))
    assert matrix.item() == pytest.approx(1.5)
    assert offset.item() == pytest.approx(3.5)
    assert bures_wasserstein(
        np.zeros(1), np.eye(1) * 4, np.ones(1), np.eye(1) * 9
    ) == pytest.approx(1 + 1)


def test_flat_directions_are_floored():
    values, _ = floored(np.diag([4.0, 1.0, 0.0]), floor=1e-4)
    np.testing.assert_allclose(values, [4.0, 1.0, 4e-4])
    np.testing.assert_allclose(power(np.diag([4.0, 0.0]), -0.5, 1e-4), np.diag([0.5, 50.0]))


def test_whitened_coordinates_make_the_bures_map_the_identity():
    mean, covariance = law(6, 4)
    points = np.random.default_rng(5).multivariate_normal(mean, covariance, 500)
    coordinates = WhitenedCoordinates.of(points)
    matrix, offset = bures_map(points.mean(0), np.cov(points.T), np.zeros(6), np.eye(6))
    pushed = points @ matrix.T + offset
    source = (points - coordinates.mean) @ coordinates.axes / coordinates.spread
    target = pushed @ coordinates.axes * coordinates.spread
    np.testing.assert_allclose(source, target, atol=1e-9)
    np.testing.assert_allclose(np.cov(source.T), np.diag(coordinates.spread**2), atol=1e-9)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (np.array([[np.nan, 0.0], [0.0, 1.0]]), "finite"),
        (np.zeros((2, 2)), "single point"),
    ],
)
def test_bad_covariances_are_named(covariance, message):
    with pytest.raises(ValueError, match=message):
        floored(covariance)


def test_too_few_points_are_named():
    with pytest.raises(ValueError, match="n >= 2"):
        WhitenedCoordinates.of(np.zeros((1, 3)))
