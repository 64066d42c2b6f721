"""Every scene as a data set: what it promises of itself, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from otbench.errors import UsageError
from otbench.plugins.parameters import instantiate
from otbench.plugins.selection import parse_one
from otbench_datasets.scenes.aux_discs import AuxDiscs
from otbench_datasets.scenes.disc_split import DiscSplit
from otbench_datasets.scenes.faces_rgb import FacesRGB
from otbench_datasets.scenes.four_positions import FourPositions
from otbench_datasets.scenes.four_shapes import FourShapes
from otbench_datasets.scenes.gaussian_corner import GaussianCorner
from otbench_datasets.scenes.maze import Maze
from otbench_datasets.scenes.shape_change import ShapeChange

SCENES = [
    GaussianCorner(),
    GaussianCorner(side=40, start=0.3, end=0.6, sigma=0.08),
    DiscSplit(),
    DiscSplit(side=64, share=0.2),
    FacesRGB(),
    Maze(),
    Maze(side=32),
    FourShapes(),
    FourPositions(),
    FourPositions(side=48, radius=0.1),
    ShapeChange(),
    AuxDiscs(train=2),
    AuxDiscs(train=20, side=64),
]
EVERY = pytest.mark.parametrize("dataset", SCENES, ids=repr)


@EVERY
def test_a_scene_is_a_valid_data_set(dataset):
    data = dataset.load()
    images = data.train.images
    assert data.scene is not None
    assert data.variant == "drawn"
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert images.min() == 0
    assert 0.9 < images.max() <= 1
    _, height, width = data.image_shape
    assert height == width == getattr(dataset, "side", 32)
    starts, ends = data.pairs
    assert starts.shape == ends.shape
    for end in torch.cat([starts, ends]):
        assert any(torch.equal(end, image) for image in images)
    again = type(dataset)(**vars(dataset)).load()
    assert again.sha256 == data.sha256
    assert torch.equal(again.train.images, images)


def test_each_setting_has_its_own_digest():
    assert len({dataset.load().sha256 for dataset in SCENES}) == len(SCENES)


@EVERY
def test_masses(dataset):
    data = dataset.load()
    masses = data.train.images.double().sum((1, 2, 3))
    spread = float(masses.max() / masses.min() - 1)
    assert spread < 1e-6 if data.scene.balanced else spread > 0.05


def test_the_ring_has_two_and_a_half_times_the_mass_of_the_cross():
    cross, ring = ShapeChange().load().train.images.double().sum((1, 2, 3))
    assert float(ring / cross) == pytest.approx(2.5, rel=0.06)


def test_the_small_disc_has_its_share():
    split = DiscSplit(share=0.25).load().train.images[1, 0]
    assert float(split[:16, 16:].sum() / split.sum()) == pytest.approx(0.25, rel=1e-5)
    assert float(split[16:, :16].sum() / split.sum()) == pytest.approx(0.75, rel=1e-5)


def test_four_shapes_are_corners_and_all_pairs():
    data = FourShapes().load()
    assert torch.equal(data.scene.corners, data.train.images)
    assert len(data.pairs[0]) == 6
    # Tooth, heart and cross are upright and symmetric; the duck is not.
    skew = [(image - image.flip(-1)).abs().max() for image in data.scene.corners]
    assert [float(s) < 0.05 for s in skew] == [True, True, False, True]


def test_faces_at_each_size_are_one_drawing():
    small, large = (FacesRGB(size).load().train.images for size in (32, 256))
    assert small.shape[1] == 3
    pooled = torch.nn.functional.avg_pool2d(large, 8)
    assert float((pooled - small).abs().max()) < 0.03


def test_held_out_discs_are_in_no_training_split():
    data = AuxDiscs().load()
    assert [len(s) for s in (data.train, data.validation, data.test)] == [1936, 128, 128]
    train, validation, test = (
        split.images.flatten(1) for split in (data.train, data.validation, data.test)
    )
    assert float(torch.cdist(torch.cat([validation, test]), train).min()) > 0.1
    assert float(torch.cdist(validation, test).min()) > 0.1
    assert len(train.unique(dim=0)) == 1936


def test_more_auxiliary_discs_only_add_to_fewer():
    few, more = AuxDiscs(train=5).load(), AuxDiscs(train=50).load()
    assert torch.equal(few.train.images, more.train.images[:5])
    assert torch.equal(few.test.images, more.test.images)
    assert torch.equal(few.pairs[1], more.pairs[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gaussian-corner[side=30]", "multiple of 8 from 16 to 256, got 30"),
        ("gaussian-corner[start=0.1]", "start must be from 0.179 to 0.821"),
        ("gaussian-corner[sigma=0.01]", r"sigma must be at least 0.03125 \(one pixel\)"),
        ("disc-split[share=0.7]", "share must be from 0.1 to 0.5, got 0.7"),
        ("faces-rgb[48]", "size must be one of 32, 64, 128, 256, got 48"),
        ("maze[side=48]", "multiple of 32 from 32 to 256, got 48"),
        ("maze[level=0]", r"level must be above 0 and at most 1, got 0"),
        ("four-shapes[side=8]", "multiple of 8 from 16"),
        ("four-positions[radius=0.3]", "radius must be from 0.05 to 0.2, got 0.3"),
        ("shape-change[side=0]", "multiple of 8 from 16"),
        ("aux-discs[train=1]", "train must be from 2 to 1936, got 1"),
        ("aux-discs[1937]", "train must be from 2 to 1936, got 1937"),
        ("aux-discs[radius=0]", "radius must be from 0.05 to 0.2"),
    ],
)
def test_bad_parameters_name_the_right_range(text, message):
    (spec,) = parse_one(text)
    kinds = {type(d).__name__.lower(): type(d) for d in SCENES}
    with pytest.raises(UsageError, match=message):
        instantiate(kinds[spec.name.replace("-", "")], spec)
