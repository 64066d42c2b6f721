"""The known answers of scenes against exact plans by POT, and the maze against its own walls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from otbench.ot.discrete.displacement import exact_plan
from otbench.ot.discrete.geodesic_distance import geodesic_cost, geodesic_distances
from otbench_datasets.scenes.aux_discs import AuxDiscs
from otbench_datasets.scenes.four_positions import FourPositions
from otbench_datasets.scenes.gaussian_corner import GaussianCorner
from otbench_datasets.scenes.maze import Maze

KNOWN = pytest.mark.parametrize(
    "dataset", [GaussianCorner(), GaussianCorner(end=0.6), FourPositions(), AuxDiscs(2)], ids=repr
)
TIMES = torch.linspace(0, 1, 6)


def centroids(images: torch.Tensor) -> torch.Tensor:
    """Return the mean place of the mass in pixels, (..., 2): row, column."""
    image = images.double().squeeze(-3)
    axis = torch.arange(image.shape[-1]).double()
    mass = image.sum((-2, -1))
    return torch.stack([image.sum(-1) @ axis / mass, image.sum(-2) @ axis / mass], -1)


@KNOWN
def test_geodesics_start_and_end_at_the_pairs_and_keep_the_mass(dataset):
    data = dataset.load()
    frames = data.scene.geodesic(TIMES)
    starts, ends = data.pairs
    assert frames.shape == (len(starts), len(TIMES), *data.image_shape)
    assert torch.equal(frames[:, 0], starts)
    assert torch.equal(frames[:, -1], ends)
    masses = frames.double().sum((2, 3, 4))
    assert float(masses.max() / masses.min() - 1) < 1e-6


@KNOWN
def test_centroids_move_linearly(dataset):
    data = dataset.load()
    places = centroids(data.scene.geodesic(TIMES))
    t = TIMES.double()[None, :, None]
    straight = (1 - t) * places[:, :1] + t * places[:, -1:]
    assert float((places - straight).abs().max()) < 0.02


@KNOWN
def test_the_cost_is_the_square_of_the_way(dataset):
    """POT needs d^2 between any two frames, and what pixels blur.

    Jensen's inequality bounds the cost by the way of the centroid. Each bit of mass is up to half a
    pixel off its true place, by 1/12 in the mean square for each axis and each of the two frames:
    at worst, when the two point apart, that adds 2 axes * (2 sqrt(1/12))^2.
    """
    data = dataset.load()
    frames = data.scene.geodesic(TIMES)[0, :, 0].double().numpy()
    places = centroids(data.scene.geodesic(TIMES))[0].numpy()
    for i, j in ((0, 5), (1, 3), (0, 2)):
        way = ((places[i] - places[j]) ** 2).sum()
        cost = exact_plan(frames[i] / frames[i].sum(), frames[j] / frames[j].sum()).cost
        assert way - 1e-6 <= cost <= way + 2 / 3


def test_a_move_by_whole_pixels_costs_exactly_its_square():
    starts, ends = (pair[0, 0].double().numpy() for pair in GaussianCorner().load().pairs)
    assert exact_plan(starts, ends).cost == pytest.approx(2 * 16**2, rel=1e-6)


def test_barycentres_at_the_corners_and_between():
    scene = FourPositions().load().scene
    assert torch.equal(scene.barycenters(torch.eye(4)), scene.corners)
    weights = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4]])
    images = scene.barycenters(weights)
    corners = centroids(scene.corners)
    assert float((centroids(images) - weights.double() @ corners).abs().max()) < 0.02
    masses = images.double().sum((1, 2, 3))
    assert masses.tolist() == pytest.approx([float(scene.corners[0].double().sum())] * 2, rel=1e-6)
    # Top left, top right, bottom left, bottom right.
    assert (corners[:, 0].diff() > 8).tolist() == [False, True, False]
    assert (corners[:, 1] > 16).tolist() == [False, True, False, True]


def test_a_barycentre_is_the_middle_of_a_geodesic():
    scene = FourPositions().load().scene
    middle = scene.barycenters(torch.tensor([[0.5, 0.0, 0.0, 0.5]]))
    # The pair of the first and the last corner is the third of six.
    assert torch.equal(scene.geodesic(torch.tensor([0.5]))[2], middle)


@pytest.mark.parametrize("side", [32, 64, 96])
def test_walls_keep_clear_of_the_discs_and_leave_a_way(side):
    data = Maze(side=side).load()
    walls = data.obstacles
    start, end = data.pairs[0][0, 0], data.pairs[1][0, 0]
    grown = ndimage.binary_dilation(walls.numpy())
    assert walls.shape == (side, side)
    assert walls.dtype == torch.bool
    for image in (start, end):
        assert not (image.bool() & walls).any()
    assert not (start > 0.5).numpy()[grown].any()
    _, count = ndimage.label(~walls.numpy())
    assert count == 1
    assert float(start.argmax() // side) > 0.8 * side
    assert float(end.argmax() // side) < 0.2 * side


def test_the_maze_has_two_ways_and_sealing_both_is_an_error():
    data = Maze().load()
    walls = data.obstacles.numpy()
    start, end = (pair[0, 0].double().numpy() for pair in data.pairs)
    cost = geodesic_cost(start, end, walls, 1e-3)
    assert cost > 1.3 * exact_plan(start, end, 1e-3).cost

    left, below = walls.copy(), walls.copy()
    left[53, :11] = True  # the cell of the source is left upwards or to the right
    below[55:, 10] = True
    centres = np.array([[59, 4]]), np.array([[4, 59]])
    ways = [float(geodesic_distances(mask, *centres)[0, 0]) for mask in (walls, left, below)]
    assert min(ways[1:]) == pytest.approx(ways[0], rel=1e-9)
    assert ways[0] < max(ways[1:]) < 1.01 * ways[0]
    # With either way shut the cost is higher: the best plan takes both.
    for shut in (left, below):
        assert geodesic_cost(start, end, shut, 1e-3) > cost * (1 + 1e-6)
    with pytest.raises(ValueError, match="seal the images off"):
        geodesic_cost(start, end, left | below, 1e-3)
