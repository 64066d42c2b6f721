"""Barycentres of discs whose answer is known, and averages that are none."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from otbench.interface import ImageDataset, Scene
from otbench.interface.artefacts import Barycenters
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.barycenter import (
    BarycenterGap,
    BarycenterW2,
    CentroidBilinearity,
    Sharpness,
    debiased_barycenter,
)
from otbench.tasks.barycenter import grid_weights

METRICS = [BarycenterGap(), BarycenterW2(), Sharpness(), CentroidBilinearity()]


def disc(row: float, column: float, radius: float = 3.0) -> Tensor:
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    return ((y - row) ** 2 + (x - column) ** 2 <= radius**2).float().unsqueeze(0)


@pytest.fixture
def exact() -> Barycenters:
    """A disc at four places, 15 pixels apart: each fifth of the way is 3 pixels."""
    corners = torch.stack([disc(8, 8), disc(8, 23), disc(23, 8), disc(23, 23)])
    images = torch.stack([disc(8 + 3 * i, 8 + 3 * j) for i in range(6) for j in range(6)])
    return Barycenters(corners, grid_weights(4), images, images.double())


def fade(artefact: Barycenters) -> Barycenters:
    images = torch.einsum("km,mchw->kchw", artefact.weights, artefact.corners)
    return dataclasses.replace(artefact, images=images)


def test_exact_barycentres_score_best(exact: Barycenters, scoring: ScoreContext) -> None:
    values = [metric.compute(exact, scoring) for metric in METRICS]
    assert [value.value for value in values] == pytest.approx([1, 0, 1, 0], abs=1e-5)
    assert {value.n for value in values} == {16}


def test_a_shift_by_closed_form(exact: Barycenters, scoring: ScoreContext) -> None:
    shifted = dataclasses.replace(exact, images=exact.images.roll((2, 1), (-2, -1)))
    away = 5**0.5
    gap, distance, sharpness, centre = (metric.compute(shifted, scoring) for metric in METRICS)
    assert (distance.value, centre.value) == pytest.approx((away, away), abs=1e-5)
    assert sharpness.value == pytest.approx(1)
    # The cost grows by the squared shift, over the weights' spread of the corners.
    inner = [(1 + k) / 5 for k in range(4)]
    spread = [15**2 * (a * (1 - a) + b * (1 - b)) for a in inner for b in inner]
    assert gap.value == pytest.approx(sum(1 + 5 / s for s in spread) / 16, rel=1e-6)


def test_a_crossfade_is_bad(exact: Barycenters, scoring: ScoreContext) -> None:
    gap, distance, sharpness, centre = (metric.compute(fade(exact), scoring) for metric in METRICS)
    assert gap.value > 1.4
    assert distance.value > 5
    weights = exact.weights[(exact.weights > 0).all(1)].double()
    assert sharpness.value == pytest.approx(float(weights.square().sum(1).mean()), rel=1e-6)
    assert centre.value == pytest.approx(0, abs=1e-5)


def test_shrinking_is_not_sharp(exact: Barycenters, scoring: ScoreContext) -> None:
    points = torch.stack([disc(8 + 3 * i, 8 + 3 * j, 0) for i in range(6) for j in range(6)])
    shrunk = dataclasses.replace(exact, images=points)
    assert Sharpness().compute(shrunk, scoring).value == pytest.approx(1 / float(disc(8, 8).sum()))
    # Discs of areas 1 and 9 (times a pixel's): half-way, transport draws one of area 4.
    small, large = torch.zeros(2, 1, 8, 8)
    small[0, 1, 1], large[0, 4:7, 4:7] = 1, 1
    middle = torch.zeros(1, 8, 8)
    middle[0, 3:5, 3:5] = 1
    half = Barycenters(torch.stack([small, large]), torch.tensor([[0.5, 0.5]]), middle.unsqueeze(0))
    assert Sharpness().compute(half, scoring).value == pytest.approx(1)


def test_debiased_barycentre_stands_in(exact: Barycenters, scoring: ScoreContext) -> None:
    scoring.pairs = 3
    unknown = dataclasses.replace(exact, exact=None)
    value = BarycenterGap().compute(unknown, scoring)
    assert value.value == pytest.approx(1, abs=0.01)
    assert value.n == 3
    assert BarycenterGap().compute(fade(unknown), scoring).value > 1.3
    row = int((exact.weights > 0).all(1).nonzero()[0])
    drawn = debiased_barycenter(exact.corners, exact.weights[row])
    assert float(drawn.sum()) == pytest.approx(float(exact.images[row].sum()), rel=1e-3)
    assert exact.exact is not None
    assert float((drawn / drawn.max() - exact.exact[row]).abs().mean()) < 0.02


def test_colours_weigh_by_mass(exact: Barycenters, scoring: ScoreContext) -> None:
    scale = torch.tensor([0.25, 0.75, 0]).view(3, 1, 1)
    corners, images = (x.repeat(1, 3, 1, 1) * scale for x in (exact.corners, exact.images))
    shifted = images.clone()
    shifted[:, 0] = shifted[:, 0].roll(4, -1)
    rgb = Barycenters(corners, exact.weights, shifted, images.double())
    assert CentroidBilinearity().compute(rgb, scoring).value == pytest.approx(1, abs=1e-5)
    assert BarycenterW2().compute(rgb, scoring).value == pytest.approx(2, abs=1e-5)
    assert Sharpness().compute(rgb, scoring).value == pytest.approx(1)
    assert BarycenterGap().compute(rgb, scoring).value > 1.01


def test_what_cannot_be_scored_is_named(
    exact: Barycenters, scoring: ScoreContext, blobs: ImageDataset
) -> None:
    bright = dataclasses.replace(exact, images=exact.images * 2)
    blank = dataclasses.replace(exact, images=exact.images * 0)
    for metric in METRICS:
        with pytest.raises(ValueError, match=r"'images' has values .*wanted \[0, 1\]"):
            metric.compute(bright, scoring)
        worst, truth = (metric.compute(images, scoring) for images in (blank, exact))
        assert worst.value < truth.value if metric.direction == "higher" else worst.value > 2
        # The points of a grid are chosen, not drawn.
        assert (truth.stderr, truth.n) == (None, 16)
    rim = dataclasses.replace(exact, weights=exact.weights[:6], images=exact.images[:6])
    with pytest.raises(Undefined, match="all corners"):
        Sharpness().compute(rim, scoring)
    with pytest.raises(Undefined, match="not known"):
        BarycenterW2().compute(dataclasses.replace(exact, exact=None), scoring)
    assert BarycenterW2().missing(blobs) == "the exact barycentres of blobs are not known"
    known = Scene(corners=exact.corners, barycenters=lambda w: torch.zeros(len(w), 1, 32, 32))
    assert BarycenterW2().missing(dataclasses.replace(blobs, scene=known)) is None
    same = Barycenters(
        exact.corners[:1].expand(4, -1, -1, -1),
        exact.weights,
        exact.images,
        exact.corners[:1].double().expand(36, -1, -1, -1),
    )
    with pytest.raises(Undefined, match="same image"):
        BarycenterGap().compute(same, scoring)
