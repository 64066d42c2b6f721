"""Pairs of image sets: what is drawn, what is refused, what tells two pairs apart."""

from __future__ import annotations

import pytest
import torch

from otbench.errors import DataError
from otbench.interface import ImageDataset, ImagePair, Split


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constant(first: int, n: int, shape: tuple[int, int, int]) -> Split:
    """Return n images, the first of value first/100, the next of (first + 1)/100, and so on."""
    values = torch.arange(first, first + n) / 100
    return Split(values.view(-1, 1, 1, 1).expand(n, *shape).clone())


def side(first: int, shape=(3, 2, 4), sha256="a", classes=None) -> ImageDataset:
    """Return 10 training, 5 validation and 5 test images, all of their own values."""
    parts = [constant(first + start, n, shape) for start, n in ((0, 10), (10, 5), (15, 5))]
    return ImageDataset("side", "default", *parts, sha256=sha256, classes=classes)


@pytest.fixture
def pair() -> ImagePair:
    return ImagePair("pair", "default", side(0), side(50, sha256="b"))


@pytest.mark.parametrize(("name", "first"), [("source", 0), ("target", 50)])
def test_points_are_training_images_drawn_with_replacement(pair, name, first):
    points = getattr(pair, name)(300, seeded(0))
    assert points.shape == (300, 24)
    assert points.dtype == torch.float32
    values = (100 * points).round().long()
    assert bool((values == values[:, :1]).all())
    assert set(values[:, 0].tolist()) == set(range(first, first + 10))


def test_draws_follow_the_generator_alone(pair):
    again = ImagePair("pair", "default", side(0), side(50, sha256="b"))
    for draw, repeated in ((pair.source, again.source), (pair.target, again.target)):
        assert torch.equal(draw(40, seeded(1)), repeated(40, seeded(1)))
        assert not torch.equal(draw(40, seeded(1)), draw(40, seeded(2)))
    generator = seeded(3)
    assert not torch.equal(pair.source(40, generator), pair.source(40, generator))


def test_points_are_flat_images_in_the_order_channel_row_column():
    images = torch.rand(6, 3, 2, 4, generator=seeded(0))
    splits = [Split(images)] * 3
    data = ImageDataset("side", "default", *splits, sha256="a")
    pair = ImagePair("pair", "default", data, data)
    assert (pair.image_shape, pair.dimension) == ((3, 2, 4), 24)
    drawn = pair.images(pair.source(20, seeded(0)))
    assert {tuple(x.flatten().tolist()) for x in drawn} <= {
        tuple(x.flatten().tolist()) for x in images
    }
    point = pair.images(torch.arange(24.0).unsqueeze(0))[0]
    assert float(point[2, 1, 3]) == 2 * 8 + 1 * 4 + 3


@pytest.mark.parametrize("shape", [(1, 2, 4), (3, 4, 2), (3, 2, 5)])
def test_sides_of_two_shapes_are_refused(shape):
    wanted = r"faces: both sides need images of one shape .*got 3x2x4 and " + "x".join(
        map(str, shape)
    )
    with pytest.raises(DataError, match=wanted):
        ImagePair("faces", "default", side(0), side(50, shape))


@pytest.mark.parametrize(
    ("source", "target", "modes"), [(None, None, None), (None, 4, None), (4, None, None), (4, 6, 6)]
)
def test_modes_need_labels_on_both_sides(source, target, modes):
    pair = ImagePair("pair", "default", side(0, classes=source), side(50, classes=target))
    assert pair.classes == modes


def test_the_digest_tells_the_sides_and_their_order_apart():
    digests = {
        ImagePair("pair", "default", side(0, sha256=a), side(50, sha256=b)).sha256
        for a, b in (("a", "b"), ("b", "a"), ("a", "c"), ("c", "b"))
    }
    assert len(digests) == 4


def test_nothing_is_known_of_the_true_map(pair):
    assert pair.true_map(pair.source(2, seeded(0))) is None
    assert pair.squared_w2() is None
