"""Coloured digits: one random colour an image, and labels that number it."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from otbench.errors import DataWarning, UsageError
from otbench.interface import ImagePair, Split
from otbench_datasets.image_pairs import coloured_digits
from otbench_datasets.image_pairs.coloured_digits import (
    COLOURS,
    ColouredDigits,
    hue_colours,
    nearest_colour,
)


def gray_split(n: int, seed: int) -> Split:
    """Return n random gray images, of each digit in turn."""
    images = torch.rand(n, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    return Split(images, torch.arange(n) % 10)


SPLITS = gray_split(6000, 0), gray_split(200, 1), gray_split(300, 2)


@pytest.fixture
def gray(monkeypatch):
    """Put random gray images in MNIST's place."""
    monkeypatch.setattr(coloured_digits, "read_mnist", lambda: ("full", SPLITS, "digest"))


def every(pair: ImagePair) -> list[Split]:
    """Return the six splits, of the source first."""
    sides = pair.source_images, pair.target_images
    return [part for side in sides for part in (side.train, side.validation, side.test)]


def hues(split: Split) -> np.ndarray:
    """Return the hue of each image's brightest pixel, by the standard library."""
    flat = split.images.flatten(2)
    where = flat.amax(1).argmax(1)
    pixels = flat[torch.arange(len(flat)), :, where].tolist()
    return np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in pixels])


def test_colours_are_those_of_the_standard_library():
    grid = torch.arange(997) / 997
    wanted = [colorsys.hsv_to_rgb(float(hue), 1, 1) for hue in grid]
    np.testing.assert_allclose(hue_colours(grid).numpy(), wanted, atol=2e-6)


def test_the_modes_lie_around_the_colours_they_are_named_after():
    named = dict(
        red=(1, 0, 0),
        yellow=(1, 1, 0),
        green=(0, 1, 0),
        cyan=(0, 1, 1),
        blue=(0, 0, 1),
        magenta=(1, 0, 1),
    )
    for number, name in enumerate(COLOURS):
        hue = colorsys.rgb_to_hsv(*named[name])[0]
        around = torch.tensor([hue - 0.08, hue, hue + 0.08]) % 1
        assert nearest_colour(around).tolist() == [number] * 3
    assert nearest_colour(torch.tensor([0.9999999])).tolist() == [0]


@pytest.mark.parametrize("size", [16, 32])
def test_an_image_is_a_gray_one_times_one_colour(gray, size):
    pair = ColouredDigits(4, 7, size).load()
    assert pair.image_shape == (3, size, size)
    wanted = [split.images[digit::10, 0].numpy() for digit in (4, 7) for split in SPLITS]
    for part, image in zip(every(pair), wanted, strict=True):
        rows = image.reshape(-1, size, 32 // size, size, 32 // size).mean((2, 4))
        assert part.images.dtype == torch.float32
        # Full value: the brightest channel is the gray image. Full saturation: the darkest is 0.
        np.testing.assert_allclose(part.images.amax(1).numpy(), rows, atol=1e-6)
        assert float(part.images.amin(1).abs().max()) < 1e-6
        colours = part.images.flatten(2) / part.images.flatten(2).amax(1, keepdim=True)
        torch.testing.assert_close(
            colours, colours[..., :1].expand_as(colours), atol=1e-5, rtol=1e-5
        )


def test_labels_number_the_nearest_of_six_hues(gray):
    pair = ColouredDigits().load()
    assert pair.classes == pair.source_images.classes == 6
    for part in every(pair):
        turns = 6 * hues(part)
        clear = np.abs(turns % 1 - 0.5) > 1e-4
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(
            part.labels.numpy()[clear], turns.round().astype(int)[clear] % 6
        )
        assert part.labels.dtype == torch.int64


def test_hues_are_uniform_and_those_of_the_two_sides_independent(gray):
    pair = ColouredDigits().load()
    source, target = hues(pair.source_images.train), hues(pair.target_images.train)
    for side in (source, target):
        assert kstest(side, "uniform").pvalue > 0.01
    # No hue follows another by a fixed angle, nor do the splits repeat them.
    turns = np.exp(2j * np.pi * (source - target))
    assert abs(turns.mean()) < 4 / len(turns) ** 0.5
    # By chance, one pair of hues in a million agrees to six digits.
    rounded = [set(np.round(hues(part), 6)) for part in every(pair)]
    for a, b in itertools.combinations(rounded, 2):
        assert len(a & b) <= 4


def test_equal_parameters_give_equal_images_and_others_another_digest(gray):
    pair, again = ColouredDigits().load(), ColouredDigits().load()
    assert pair.sha256 == again.sha256
    for a, b in zip(every(pair), every(again), strict=True):
        assert torch.equal(a.images, b.images)
    others = [
        ColouredDigits(**changed).load()
        for changed in ({"seed": 1}, {"size": 32}, {"source": 1}, {"target": 1})
    ]
    digests = {x.sha256 for x in (pair, *others)}
    digests |= {x.source_images.sha256 for x in (pair, *others)}
    assert len(digests) == 10
    assert not torch.equal(others[0].source_images.train.images, pair.source_images.train.images)
    assert [x.variant for x in (pair, *others)] == [
        "2to3-16",
        "2to3-16-seed1",
        "2to3-32",
        "1to3-16",
        "2to1-16",
    ]


def test_the_digest_follows_mnist_s(gray, monkeypatch):
    before = ColouredDigits().load().sha256
    monkeypatch.setattr(coloured_digits, "read_mnist", lambda: ("full", SPLITS, "other"))
    assert ColouredDigits().load().sha256 != before


def test_without_the_full_set_5000_are_used_and_said_loudly(tmp_path, monkeypatch):
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("OTBENCH_OFFLINE", "1")
    monkeypatch.delenv("OTBENCH_DATA_DIR", raising=False)
    with pytest.warns(DataWarning, match="variant '5k'"):
        pair = ColouredDigits(seed=3).load()
    assert pair.variant == "2to3-16-seed3-5k"
    assert [len(part) for part in every(pair)] == [350, 50, 100] * 2
    # Ink on black: a border without any, a middle with much.
    for part in every(pair):
        assert float(part.images[:, :, 0].max()) == 0
        assert float(part.images[:, :, 5:11, 5:11].amax(1).mean()) > 0.2
    # The shapes of the two sides differ: the mean 3 has ink where the mean 2 has none.
    means = [side.train.images.amax(1).mean(0) for side in (pair.source_images, pair.target_images)]
    assert float((means[0] - means[1]).abs().max()) > 0.2


def test_mnist_is_fetched_before_anything_trains():
    assert ColouredDigits.assets == ("mnist",)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"source": 3}, "source and target must be different digits, got 3 for both"),
        ({"source": 10}, "source must be from 0 to 9, got 10"),
        ({"target": -1}, "target must be from 0 to 9, got -1"),
        ({"size": 28}, "size must be one of 16, 32, got 28"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_what_cannot_be_is_refused(parameters, message):
    with pytest.raises(UsageError, match=f"coloured-digits: {message}"):
        ColouredDigits(**parameters)
