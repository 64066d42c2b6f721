"""Geodesic distances against closed forms, a grid search by scikit-image, and exact plans."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.graph import MCP_Geometric

from otbench.ot.discrete.displacement import exact_plan
from otbench.ot.discrete.geodesic_distance import geodesic_cost, geodesic_distances


def random_walls(seed: int, shape: tuple[int, int] = (14, 18)) -> np.ndarray:
    """Scatter single pixels and bars; some touch corner to corner."""
    rng = np.random.default_rng(seed)
    walls = rng.random(shape) < 0.12
    for _ in range(3):
        row, column, length = rng.integers(0, 10, 3)
        walls[row : row + 2, column : column + length] = True
        walls[row : row + length, column] = True
    return walls


def test_without_walls_it_is_the_euclidean_distance():
    points = np.array([[0, 0], [3, 7], [11, 2], [5, 5]])
    found = geodesic_distances(np.zeros((12, 9), dtype=bool), points, points)
    wanted = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert found == pytest.approx(wanted, abs=1e-12)


def test_around_the_tip_of_a_wall():
    walls = np.zeros((9, 9), dtype=bool)
    walls[3:, 4] = True  # its tip spans (3, 4) to (3, 5) between the pixels
    found = geodesic_distances(walls, np.array([[7, 2]]), np.array([[7, 6], [1, 2], [0, 8]]))
    over = np.hypot(4.5, 1.5) + 1 + np.hypot(4.5, 1.5)
    corner = np.hypot(4.5, 1.5) + np.hypot(2.5, 4.5)
    assert found[0] == pytest.approx([over, 6, corner], abs=1e-9)


def test_a_thick_wall_is_solid_along_its_seams():
    walls = np.zeros((10, 10), dtype=bool)
    walls[4:6, 2:8] = True
    source, target = np.array([[5, 0]]), np.array([[5, 9]])
    # Around the nearer side, below.
    wanted = 2 * np.hypot(0.5, 1.5) + 6
    assert geodesic_distances(walls, source, target)[0, 0] == pytest.approx(wanted, abs=1e-9)


def test_no_way_between_walls_that_touch_at_a_corner():
    walls = ~np.eye(2, dtype=bool)
    assert np.isinf(geodesic_distances(walls, np.array([[0, 0]]), np.array([[1, 1]]))).all()
    walls = np.zeros((6, 6), dtype=bool)
    walls[2, :3] = walls[3, 3:] = True
    apart = geodesic_distances(walls, np.array([[0, 0], [1, 5]]), np.array([[5, 5], [3, 0]]))
    assert np.isinf(apart).all()


@pytest.mark.parametrize("seed", range(8))
def test_against_a_four_neighbour_search(seed):
    """Steps along the axes are longer, by sqrt(2) at most on open ground and a bit at corners."""
    walls = random_walls(seed)
    free = np.argwhere(~walls)
    rng = np.random.default_rng(seed)
    points = free[rng.choice(len(free), 12, replace=False)]
    found = geodesic_distances(walls, points, points)
    steps = np.stack(
        [
            MCP_Geometric(np.where(walls, np.inf, 1.0), fully_connected=False).find_costs(
                [tuple(point)]
            )[0][tuple(points.T)]
            for point in points
        ]
    )
    reached = np.isfinite(steps)
    assert (np.isfinite(found) == reached).all()
    assert (found[reached] <= steps[reached] + 1e-9).all()
    assert (found[reached] >= steps[reached] / np.sqrt(2) - 3).all()
    straight = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert (found >= straight - 1e-9).all()
    assert found == pytest.approx(found.T, abs=1e-9)
    through = (found[:, :, None] + found[None]).min(1)
    assert (found <= through + 1e-9).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_image_changes_nothing(turns):
    walls = random_walls(3)
    first, second = np.argwhere(~walls)[[5, 60, 100]], np.argwhere(~walls)[[20, 130]]

    def turned(points):
        masks = [np.zeros(walls.shape, dtype=bool) for _ in points]
        for mask, point in zip(masks, points, strict=True):
            mask[tuple(point)] = True
        return np.concatenate([np.argwhere(np.rot90(mask, turns)) for mask in masks])

    found = geodesic_distances(np.rot90(walls, turns), turned(first), turned(second))
    assert found == pytest.approx(geodesic_distances(walls, first, second), abs=1e-9)


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    first, second = np.zeros((2, 12, 12))
    first[1:5, 1:4], second[7:11, 8:11] = rng.random((4, 3)), rng.random((4, 3))
    return first, second


def test_cost_without_walls_is_the_exact_plans():
    first, second = images()
    walls = np.zeros(first.shape, dtype=bool)
    wanted = exact_plan(first, second, 0.1).cost
    assert geodesic_cost(first, second, walls, 0.1) == pytest.approx(wanted, rel=1e-10)
    walls[:, 6] = True
    walls[0, 6] = False
    assert geodesic_cost(first, second, walls, 0.1) > wanted


def test_cost_of_one_detour():
    first, second = np.zeros((2, 9, 9))
    first[7, 2] = second[7, 6] = 0.5
    walls = np.zeros((9, 9), dtype=bool)
    walls[3:, 4] = True
    wanted = (2 * np.hypot(4.5, 1.5) + 1) ** 2
    assert geodesic_cost(first, second, walls) == pytest.approx(wanted, rel=1e-9)


def test_two_rooms_each_with_its_own_balance():
    walls = np.zeros((5, 9), dtype=bool)
    walls[:, 4] = True
    first, second = np.zeros((2, 5, 9))
    first[2, 0], first[2, 5], second[2, 3], second[2, 7] = 1, 3, 1, 3
    assert geodesic_cost(first, second, walls) == pytest.approx((1 * 9 + 3 * 4) / 4)


def test_bad_input_is_named():
    first, second = images()
    walls = np.zeros(first.shape, dtype=bool)
    sealed = walls.copy()
    sealed[:, 6] = True
    with pytest.raises(ValueError, match=r"seal the images off.*100.000% of the first.*0.000%"):
        geodesic_cost(first, second, sealed)
    covered = walls.copy()
    covered[2, 2] = True
    with pytest.raises(ValueError, match="first image's mass stands on obstacles"):
        geodesic_cost(first, second, covered)
    with pytest.raises(ValueError, match="second image is empty: no pixel is above 2"):
        geodesic_cost(first * 9, second, walls, 2.0)
    with pytest.raises(ValueError, match="first image holds negative"):
        geodesic_cost(-first, second, walls)
    with pytest.raises(ValueError, match=r"one shape.*\(3, 3\)"):
        geodesic_cost(first, second, walls[:3, :3])
    point = np.array([[2, 2]])
    with pytest.raises(ValueError, match=r"\[2 2\] lies on an obstacle"):
        geodesic_distances(covered, point, point)
    with pytest.raises(ValueError, match="lies outside the image"):
        geodesic_distances(walls, point, np.array([[12, 0]]))
    with pytest.raises(ValueError, match=r"\(k, 2\)"):
        geodesic_distances(walls, point, np.array([1, 2]))
    with pytest.raises(ValueError, match="bool"):
        geodesic_distances(first, point, point)
