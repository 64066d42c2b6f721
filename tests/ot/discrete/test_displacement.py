"""Displacement interpolation against exact translations and POT's own cost."""

from __future__ import annotations

import numpy as np
import pytest

from otbench.ot.discrete.displacement import displacement_path, exact_plan, splat


def blob(row: float, column: float, side: int = 24, mass: float = 1.0) -> np.ndarray:
    axis = np.arange(side)
    image = np.exp(-((axis[:, None] - row) ** 2 + (axis[None] - column) ** 2) / (2 * 2.0**2))
    image[image < 0.1] = 0
    return mass * image


def centroid(image: np.ndarray) -> np.ndarray:
    grid = np.indices(image.shape)
    return (grid * image).sum((1, 2)) / image.sum()


def test_translation_is_exact():
    times = np.linspace(0, 1, 6)
    frames = displacement_path(blob(7, 6), blob(14, 16), times)
    for time, frame in zip(times, frames, strict=True):
        assert centroid(frame) == pytest.approx([7 + 7 * time, 6 + 10 * time], abs=1e-9)
    assert exact_plan(blob(7, 6), blob(14, 16)).cost == pytest.approx(7**2 + 10**2)


def test_translation_by_whole_pixels_keeps_the_shape():
    frames = displacement_path(blob(6, 6), blob(14, 14), np.array([0.5]))
    np.testing.assert_allclose(frames[0], blob(10, 10), atol=1e-12)


def test_ends_are_the_images_and_mass_is_linear():
    generator = np.random.default_rng(0)
    one, other = generator.random((2, 9, 7)) ** 4
    times = np.linspace(0, 1, 5)
    frames = displacement_path(one, other, times)
    np.testing.assert_allclose(frames[0], one, atol=1e-12)
    np.testing.assert_allclose(frames[-1], other, atol=1e-12)
    expected = (1 - times) * one.sum() + times * other.sum()
    np.testing.assert_allclose(frames.sum((1, 2)), expected)


def test_cost_is_the_linear_programme_s():
    from scipy.optimize import linprog

    generator = np.random.default_rng(1)
    one, other = generator.random((2, 3, 4))
    places = np.argwhere(one >= 0).astype(float)
    costs = ((places[:, None] - places[None]) ** 2).sum(2)
    size = len(places)
    marginals = np.concatenate(
        [np.kron(np.eye(size), np.ones(size)), np.kron(np.ones(size), np.eye(size))]
    )
    right = np.concatenate([one.ravel() / one.sum(), other.ravel() / other.sum()])
    best = linprog(costs.ravel(), A_eq=marginals, b_eq=right).fun
    assert exact_plan(one, other).cost == pytest.approx(best, rel=1e-6)


def test_dim_pixels_stay_out():
    faint = blob(7, 6)
    faint[20, 20] = 5e-4
    frames = displacement_path(faint, blob(14, 16), np.array([0.0, 1.0]), threshold=1e-3)
    np.testing.assert_allclose(frames[0], blob(7, 6), atol=1e-12)


def test_empty_image_grows_in_place():
    frames = displacement_path(np.zeros((24, 24)), blob(5, 5), np.array([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(frames[1], 0.25 * blob(5, 5))


def test_splat_keeps_mass_and_centroid_at_the_rim():
    points = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 3.5], [1.25, 2.75]])
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    image = splat(points, weights, (4, 5))
    assert image.sum() == pytest.approx(10)
    assert centroid(image) == pytest.approx(weights @ points / 10)
    assert image[3, 4] == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (np.ones((3, 3)), np.ones((3, 4)), "one shape"),
        (-np.ones((3, 3)), np.ones((3, 3)), "first image holds negative"),
        (np.ones((3, 3)), np.full((3, 3), np.nan), "second image holds"),
        (np.ones((3, 3)), np.zeros((3, 3)), "second image is empty"),
    ],
)
def test_bad_images_are_named(one, other, message):
    with pytest.raises(ValueError, match=message):
        exact_plan(one, other)
