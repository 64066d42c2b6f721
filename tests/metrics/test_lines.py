"""ACAI's line scores against the values of the authors' own functions."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.interface import CircularFamily, ImageDataset, Split
from otbench.interface.artefacts import ComparedImages, Paths
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.lines import LineDistance, LineSmoothness, unwrap

FROM, TO = 5 * math.pi / 7, 3 * math.pi / 2
TIME = torch.linspace(0, 1, 16, dtype=torch.float64)


def draw_lines(angles: Tensor, side: int = 32, width: float = 2.0) -> Tensor:
    """Draw ACAI's lines from the centre outwards, shape (n, 1, side, side), in [0, 1].

    A row (or column, for flat lines) of unit height is covered from x - width / 2 to x + width / 2
    around the line's own x there; a partly covered pixel is gray by its share.
    """
    cells = torch.arange(side, dtype=torch.float64)
    images = []
    for angle in angles.double().tolist():
        reach = side / 2 - 1
        along, across = reach * math.cos(angle), -reach * math.sin(angle)
        steep = abs(across) > abs(along)
        if steep:
            along, across = across, along
        low, high = sorted((side / 2, side / 2 + along))
        covered = (torch.minimum(cells + 1, torch.tensor(high)) - cells.clamp(min=low)).clamp(0, 1)
        start = side / 2 if along > 0 else side / 2 + across
        # The release takes the line half a row behind; the golden values know it.
        middle = start + (cells - low - 0.5) * across / along
        left, right = middle[:, None] - width / 2, middle[:, None] + width / 2
        share = (torch.minimum(cells + 1, right) - torch.maximum(cells, left)).clamp(0, 1)
        image = covered[:, None] * share
        images.append(image if steep else image.T)
    return torch.stack(images).unsqueeze(1)


@pytest.fixture(scope="module")
def bank() -> CircularFamily:
    angles = torch.arange(10_000, dtype=torch.float64) * (2 * math.pi / 10_000)
    return CircularFamily(draw_lines(angles), angles)


@pytest.fixture
def scoring(bank: CircularFamily) -> ScoreContext:
    split = Split(bank.images[:4].float())
    data = ImageDataset("lines", "test", split, split, split, "0" * 64, family=bank)
    return ScoreContext(torch.device("cpu"), 0, data)


def arc(start: float, turn: float) -> Tensor:
    return draw_lines(start + turn * TIME)


def cross_fade(start: float, end: float) -> Tensor:
    first, last = draw_lines(torch.tensor([start, end]))
    weight = TIME.view(-1, 1, 1, 1)
    return (1 - weight) * first + weight * last


def abrupt(start: float, end: float) -> Tensor:
    first, last = draw_lines(torch.tensor([start, end]))
    return torch.stack([first] * 8 + [last] * 8)


def as_paths(*frames: Tensor) -> Paths:
    stack = torch.stack(frames)
    ends = stack[:, 0], stack[:, -1]
    return Paths(*ends, stack, TIME, ComparedImages(*ends, paired=False))


GOLDEN = {
    "exact arc": (arc(FROM, TO - FROM), 2.0e-7, 1.7e-5, 3e-8, 1e-6),
    "cross-fade": (cross_fade(FROM, TO), 7.22e-3, 0.940, 1e-5, 1e-3),
    "abrupt": (abrupt(FROM, TO), 2.5e-7, 14 / 15, 1e-7, 1e-4),
    "overshoot": (arc(FROM, TO - FROM - 2 * math.pi), 1.8e-7, 4.4e-5, 3e-8, 1e-6),
}


@pytest.mark.parametrize("path", GOLDEN)
def test_legacy_has_the_values_of_the_release(path: str, scoring: ScoreContext) -> None:
    frames, distance, smoothness, near, close = GOLDEN[path]
    paths = as_paths(frames)
    got = [
        metric("legacy").compute(paths, scoring).value for metric in (LineDistance, LineSmoothness)
    ]
    assert got[0] == pytest.approx(distance, abs=near)
    assert got[1] == pytest.approx(smoothness, abs=close)


def test_corrected_smoothness_sees_the_long_way_round(scoring: ScoreContext) -> None:
    metric = LineSmoothness("corrected")
    short = metric.compute(as_paths(GOLDEN["exact arc"][0]), scoring).value
    long = metric.compute(as_paths(GOLDEN["overshoot"][0]), scoring).value
    jump = metric.compute(as_paths(GOLDEN["abrupt"][0]), scoring).value
    ratio = (2 * math.pi - (TO - FROM)) / (TO - FROM)
    assert short == pytest.approx(0, abs=1e-3)
    assert long == pytest.approx(ratio / 15 - 1 / 15 + ratio - 1, abs=2e-3)
    assert jump == pytest.approx(14 / 15, abs=1e-3)


def test_undefined_paths_count_only_in_the_legacy_mean(scoring: ScoreContext) -> None:
    still = draw_lines(torch.full((16,), 1.0))
    paths = as_paths(abrupt(FROM, TO), still)
    legacy = LineSmoothness("legacy").compute(paths, scoring)
    corrected = LineSmoothness("corrected").compute(paths, scoring)
    assert legacy.value == pytest.approx(14 / 30, abs=1e-3)
    assert corrected.value == pytest.approx(14 / 15, abs=1e-3)
    assert (legacy.n, corrected.n) == (2, 1)
    with pytest.raises(Undefined, match="no path turns"):
        LineSmoothness("legacy").compute(as_paths(still), scoring)
    with pytest.raises(Undefined, match="nearest to the same member"):
        LineSmoothness("corrected").compute(as_paths(still), scoring)


def test_a_path_that_stands_still_between_two_lines_is_one_jump(scoring: ScoreContext) -> None:
    still = as_paths(draw_lines(torch.full((16,), FROM)))
    paths = dataclasses.replace(still, x1=draw_lines(torch.tensor([TO])))
    corrected = LineSmoothness("corrected").compute(paths, scoring)
    assert corrected.value == pytest.approx(1 - 1 / 15, abs=1e-6)
    # and it is worse the more it wanders and comes back: there and back again is twice the arc
    there = FROM + (TO - FROM) * (1 - (2 * TIME - 1).abs())
    wandering = dataclasses.replace(as_paths(draw_lines(there)), x1=paths.x1)
    arc = float((there.max() - FROM) / (TO - FROM))
    worse = LineSmoothness("corrected").compute(wandering, scoring).value
    assert worse == pytest.approx(1 - 1 / 15 + 2 * arc, abs=1e-2)


def test_distance_matches_the_brute_force(bank: CircularFamily, scoring: ScoreContext) -> None:
    frames = torch.rand(2, 16, 1, 32, 32, generator=torch.Generator().manual_seed(5))
    pixels = 2 * frames.flatten(0, 1).flatten(1).double().numpy() - 1
    members = 2 * bank.images.flatten(1).numpy() - 1
    cosine = (pixels @ members.T) / (
        np.linalg.norm(pixels, axis=1)[:, None] * np.linalg.norm(members, axis=1)
    )
    got = LineDistance("legacy").compute(as_paths(*frames), scoring)
    assert got.value == pytest.approx((1 - cosine.max(1)).mean(), abs=1e-12)


def test_a_blank_image_is_far_only_when_corrected(scoring: ScoreContext) -> None:
    blank = as_paths(torch.zeros(16, 1, 32, 32, dtype=torch.float64))
    assert LineDistance("corrected").compute(blank, scoring).value == 1
    assert LineDistance("legacy").compute(blank, scoring).value < 0.05


def test_unwrap_is_that_of_numpy() -> None:
    angles = 20 * torch.rand(6, 16, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    assert np.allclose(unwrap(angles).numpy(), np.unwrap(angles.numpy(), axis=1))


def test_protocol_and_needs(blobs: ImageDataset, scoring: ScoreContext) -> None:
    assert LineDistance().id == "line_distance[corrected]"
    assert LineSmoothness("legacy").id == "line_smoothness[legacy]"
    assert LineDistance().missing(scoring.data) is None
    assert "family" in str(LineDistance().missing(blobs))
    with pytest.raises(ValueError, match="legacy, corrected"):
        LineDistance("fixed")
