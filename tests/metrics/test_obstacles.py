"""Mass on walls and energy around them, on paths past one wall."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from otbench.interface.artefacts import WalledPaths
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.obstacles import EnergyOverBound, WallMass
from otbench.metrics.transport import MassLeak, PathEnergy, PeakRatio
from otbench.ot.discrete.geodesic_distance import geodesic_cost

TIMES = torch.linspace(0, 1, 11)


def blob(row: float, column: float) -> Tensor:
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    image = torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.5**2))
    return image.where(image > 0.05, torch.zeros(()))


def walled(drawn: Tensor, walls: Tensor) -> WalledPaths:
    frames = drawn.masked_fill(walls, 0)
    return WalledPaths(
        frames[:, 0], frames[:, -1], frames, TIMES[: drawn.shape[1]], drawn=drawn, obstacles=walls
    )


@pytest.fixture
def walls() -> Tensor:
    """A wall across the middle with a gap at the right end."""
    mask = torch.zeros(24, 24, dtype=torch.bool)
    mask[11:13, :17] = True
    return mask


@pytest.fixture
def around() -> Tensor:
    """A blob that goes through the gap, at even speed."""
    corners = torch.tensor([[5.0, 8], [5, 20], [18, 20], [18, 8]])
    lengths = torch.tensor([0.0, 12, 25, 37])
    places = []
    for t in TIMES * 37:
        leg = min(int((lengths <= t).sum()) - 1, 2)
        part = (t - lengths[leg]) / (lengths[leg + 1] - lengths[leg])
        places.append(corners[leg] + part * (corners[leg + 1] - corners[leg]))
    return torch.stack([blob(*place) for place in places]).view(1, 11, 1, 24, 24)


@pytest.fixture
def through() -> Tensor:
    """The same blob, straight through the wall."""
    return torch.stack([blob(5 + 13 * float(t), 8) for t in TIMES]).view(1, 11, 1, 24, 24)


def test_wall_mass_is_what_was_drawn_there(scoring: ScoreContext, walls: Tensor) -> None:
    drawn = torch.zeros(2, 2, 1, 24, 24)
    drawn[:, :, 0, 2, 2] = 0.6
    drawn[0, 1, 0, 11, 3] = 0.2  # a quarter of this frame
    drawn[1, :, 0, 12, 16] = 0.4  # two fifths of each
    value = WallMass().compute(walled(drawn, walls), scoring)
    assert value.value == pytest.approx((0.25 / 2 + 0.4) / 2)
    assert value.n == 2
    clean = walled(drawn.masked_fill(walls, 0), walls)
    assert WallMass().compute(clean, scoring).value == 0
    with pytest.raises(ValueError, match="'drawn' has values"):
        WallMass().compute(walled(drawn * 9, walls), scoring)


def test_energy_without_walls_is_that_of_the_translation(
    scoring: ScoreContext, through: Tensor
) -> None:
    free = torch.zeros(24, 24, dtype=torch.bool)
    value = EnergyOverBound().compute(walled(through, free), scoring).value
    assert value == pytest.approx(1.02, abs=0.05)


def test_going_around_is_near_the_bound_and_going_through_is_not(
    scoring: ScoreContext, walls: Tensor, around: Tensor, through: Tensor
) -> None:
    metric = EnergyOverBound()
    good = metric.compute(walled(around, walls), scoring).value
    # The route is 37 pixels long with its right angles; the bound cuts the corners.
    bound = geodesic_cost(
        around[0, 0, 0].double().numpy(), around[0, -1, 0].double().numpy(), walls.numpy(), 1e-3
    )
    assert 0.9 * 37**2 / bound < good < 1.6 * 37**2 / bound
    assert metric.compute(walled(through, walls), scoring).value > 2 * good
    assert WallMass().compute(walled(around, walls), scoring).value < 0.02
    assert WallMass().compute(walled(through, walls), scoring).value > 0.1


def test_crowding_shows_in_the_peak(scoring: ScoreContext, walls: Tensor, around: Tensor) -> None:
    drawn = around * 0.2
    drawn[:, 5] = 0
    drawn[0, 5, 0, 12, 17] = float(drawn[0, 0].sum() / 4)
    value = PeakRatio().compute(walled(drawn, walls), scoring).value
    assert value == pytest.approx(float(blob(5, 8).sum()), rel=1e-4)


def test_walls_hold_for_the_flows(scoring: ScoreContext, walls: Tensor, around: Tensor) -> None:
    scoring.data = dataclasses.replace(scoring.data, obstacles=walls)
    paths = walled(around, walls)
    closed = PathEnergy(tau=1e4).compute(paths, scoring).value
    assert MassLeak().compute(paths, scoring).value > 0.05
    rim = walls.clone()
    rim[[0, -1]] = rim[:, [0, -1]] = True
    scoring.data = dataclasses.replace(scoring.data, obstacles=rim)
    assert MassLeak().compute(paths, scoring).value == 0
    scoring.data = dataclasses.replace(scoring.data, obstacles=None)
    assert closed > PathEnergy(tau=1e4).compute(paths, scoring).value


def test_what_cannot_be_scored_is_named(
    scoring: ScoreContext, walls: Tensor, around: Tensor
) -> None:
    sealed = walls.clone()
    sealed[11] = True
    with pytest.raises(ValueError, match="seal"):
        EnergyOverBound().compute(walled(around, sealed), scoring)
    still = walled(around[:, :1].expand_as(around), walls)
    with pytest.raises(Undefined, match="the same"):
        EnergyOverBound().compute(still, scoring)
    with pytest.raises(ValueError, match="above 0"):
        EnergyOverBound(floor=0)
    assert EnergyOverBound().id == "energy_over_bound[drawn,floor=0.001]"


def test_standing_still_is_only_cheap_as_drawn(
    scoring: ScoreContext, walls: Tensor, around: Tensor
) -> None:
    paths = walled(around, walls)
    still = paths.frames[:, 5:6].expand_as(paths.frames)
    stuck = dataclasses.replace(paths, frames=still, drawn=still)
    drawn, honest = EnergyOverBound(), EnergyOverBound(ends="data")
    assert drawn.compute(stuck, scoring).value == pytest.approx(0, abs=1e-9)
    assert honest.compute(stuck, scoring).value > 5 * honest.compute(paths, scoring).value
    assert [drawn.direction, honest.direction] == ["neutral", "lower"]
