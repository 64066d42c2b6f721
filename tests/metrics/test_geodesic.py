"""Distances to a known geodesic: moved, faded, stray and hazy paths of discs."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.interface.artefacts import KnownPaths
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.geodesic import (
    CentroidError,
    Compactness,
    ComponentCount,
    EnergyGap,
    GeodesicW2,
    component_count,
)
from otbench.metrics.mass import THRESHOLD, squared_w2
from otbench.metrics.transport import MassLeak, PeakRatio
from otbench.ot.discrete.pot import import_pot
from otbench.tasks.drawing import exact_geodesics

TIMES = torch.linspace(0, 1, 11)


def disc(row: float, column: float, radius: float = 4.0, side: int = 32) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((y - row) ** 2 + (x - column) ** 2 <= radius**2).float()


def moved(shift: int = 1, colours: int = 1, radius: float = 4.0) -> Tensor:
    """Return one path of a disc that moves to the right by some pixels a frame."""
    frames = torch.stack([disc(15, 6 + shift * k, radius) for k in range(11)])
    return frames.view(1, 11, 1, 32, 32).repeat(1, 1, colours, 1, 1)


def faded(frames: Tensor) -> Tensor:
    t = TIMES.view(1, -1, 1, 1, 1)
    return (1 - t) * frames[:, :1] + t * frames[:, -1:]


def known(frames: Tensor, exact: Tensor) -> KnownPaths:
    return KnownPaths(exact[:, 0].float(), exact[:, -1].float(), frames, TIMES, exact=exact)


def test_the_geodesic_itself_scores_nothing(scoring: ScoreContext) -> None:
    exact = moved(2)
    paths = known(exact, exact.double())
    for metric in (GeodesicW2(), GeodesicW2("max"), CentroidError(), ComponentCount()):
        assert metric.compute(paths, scoring).value == pytest.approx(0, abs=1e-6)
    assert PeakRatio().compute(paths, scoring).value == 1
    assert Compactness().compute(paths, scoring).value == pytest.approx(1, abs=1e-6)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    smooth = torch.stack(
        [torch.exp(-((y - 15) ** 2 + (x - 8 - 1.6 * k) ** 2) / (2 * 2.5**2)) for k in range(11)]
    ).view(1, 11, 1, 32, 32)
    # Reference 3.4: T J / (M d^2) is 1.01 for a Gaussian in ten steps; hard edges cost more.
    for path, most in ((smooth, 1.02), (exact, 1.1)):
        for ends in ("drawn", "data"):
            gap = EnergyGap(ends=ends).compute(known(path, path.double()), scoring).value
            assert 0.99 < gap < most


def test_exact_geodesics_are_the_translation(scoring: ScoreContext) -> None:
    exact = moved(colours=3)
    drawn = exact_geodesics(exact[:, 0], exact[:, -1], TIMES)
    # Times come as float32: splatting leaves that much between pixels.
    assert drawn.shape == exact.shape
    assert float((drawn - exact).abs().max()) < 1e-5


def test_a_shifted_path_is_off_by_the_shift(scoring: ScoreContext) -> None:
    exact = moved()
    paths = known(exact.roll((3, 4), (-2, -1)), exact.double())
    for metric in (GeodesicW2(), GeodesicW2("max"), CentroidError()):
        assert metric.compute(paths, scoring).value == pytest.approx(5, abs=1e-5)


def test_mean_and_max_over_times(scoring: ScoreContext) -> None:
    exact = moved()
    frames = exact.clone()
    frames[:, 4] = exact[:, 4].roll(3, -1)
    frames[:, 0] = exact[:, 0].roll(6, -2)  # the ends are the endpoint error's
    paths = known(frames, exact.double())
    assert GeodesicW2().compute(paths, scoring).value == pytest.approx(3 / 9, abs=1e-5)
    assert GeodesicW2("max").compute(paths, scoring).value == pytest.approx(3, abs=1e-5)


def test_a_crossfade_by_closed_form(scoring: ScoreContext) -> None:
    point = moved(2, radius=0)
    # (1 - t) of the mass is behind by t d, t of it ahead by (1 - t) d: W2^2 = t (1 - t) d^2.
    t = TIMES[1:-1].double()
    expected = (t * (1 - t)).sqrt() * 20
    paths = known(faded(point), point.double())
    mean, most = (GeodesicW2(s).compute(paths, scoring).value for s in ("mean", "max"))
    assert mean == pytest.approx(float(expected.mean()), rel=1e-5)
    assert most == pytest.approx(10, rel=1e-5)
    # Two points of masses 1 - t and t have the effective area 1 / ((1 - t)^2 + t^2), one has 1.
    compact = Compactness().compute(paths, scoring).value
    assert compact == pytest.approx(float(((1 - t).square() + t.square()).mean()), rel=1e-5)
    exact = moved(2)
    paths = known(faded(exact), exact.double())
    assert CentroidError().compute(paths, scoring).value == pytest.approx(0, abs=1e-5)
    # Both discs are above half of the peak only at t = 0.4, 0.5 and 0.6 (2/3 of the peak at 0.4).
    assert ComponentCount().compute(paths, scoring).value == pytest.approx(3 / 9)
    gap, leak = EnergyGap().compute(paths, scoring), MassLeak().compute(paths, scoring)
    assert gap.value > 30
    assert leak.value > 0.2


def test_floor_sets_the_price_of_a_crossfade(scoring: ScoreContext) -> None:
    paths = known(faded(moved(2)), moved(2).double())
    dear, cheap = (EnergyGap(floor).compute(paths, scoring).value for floor in (1e-5, 1e-2))
    # Reference 3.3, discs: 1.07e4 and 11.9 (over other distances).
    assert 2e3 < dear < 2e4
    assert 4 < cheap < 15
    assert EnergyGap(1e-5).id != EnergyGap(1e-2).id


def test_standing_still_is_only_cheap_as_drawn(scoring: ScoreContext) -> None:
    exact = moved(2)
    paths = known(exact[:, 5:6].expand_as(exact), exact.double())
    assert EnergyGap().compute(paths, scoring).value == pytest.approx(0, abs=1e-9)
    assert EnergyGap(ends="data").compute(paths, scoring).value > 20
    assert [EnergyGap(ends=e).direction for e in ("drawn", "data")] == ["neutral", "lower"]


def test_half_of_a_fading_disc_leaks(scoring: ScoreContext) -> None:
    ends = torch.stack([disc(9.5, 9.5, 5), disc(21.5, 21.5, 5)]).view(1, 2, 1, 32, 32)
    fading = known(faded(ends), faded(ends).double())
    # Reference 3.2: 49.8 of 100 units; its disc is of another size.
    assert MassLeak("open", 1e-5).compute(fading, scoring).value == pytest.approx(0.498, abs=0.01)
    moving = known(moved(), moved().double())
    assert MassLeak("open", 1e-5).compute(moving, scoring).value == pytest.approx(0, abs=4e-5)
    wrapping = moved(1).roll(21, -1)  # from one rim across to the other
    assert float(wrapping[0, 5, 0, :, 0].sum()) > 0
    seam = known(wrapping, wrapping.double())
    # The whole disc crosses the seam; nothing crosses it on a path that stays inside.
    assert MassLeak("periodic", 1e-5).compute(seam, scoring).value == pytest.approx(1, abs=0.05)
    assert MassLeak("periodic", 1e-5).compute(moving, scoring).value < 1e-3


def test_peaks_are_compared_at_one_mass(scoring: ScoreContext) -> None:
    frames = moved() * 0.2
    frames[:, 5] = 0
    frames[0, 5, 0, 15, 13] = 0.8  # all in one pixel, after scaling to the mass of the disc
    paths = known(frames, moved().double())
    paths = dataclasses.replace(paths, x0=frames[:, 0], x1=frames[:, -1])
    count = float(disc(15, 8).sum())
    assert PeakRatio().compute(paths, scoring).value == pytest.approx(count, rel=1e-5)
    # A cross-fade of discs apart is dimmer between its ends: at t = 0.1 by a tenth.
    fading = known(faded(moved(2)), moved(2).double())
    assert PeakRatio().compute(fading, scoring).value == pytest.approx(0.9)
    # Crowding between the ends shows, however bright the ends are drawn.
    dim = dataclasses.replace(fading, frames=0.5 * moved(2))
    dim.frames[:, [0, -1]] = 1
    dim.frames[0, 5] = 0
    dim.frames[0, 5, 0, 15, 16:18] = 1
    assert PeakRatio().compute(dim, scoring).value == pytest.approx(count / 2)
    blank = known(torch.zeros(1, 11, 1, 8, 8), torch.zeros(1, 11, 1, 8, 8).double())
    for metric in (PeakRatio(), MassLeak(), EnergyGap(), GeodesicW2()):
        with pytest.raises(Undefined, match=r"blank|in common"):
            metric.compute(blank, scoring)


def test_components_counted_by_hand() -> None:
    image = torch.zeros(1, 8, 8)
    assert component_count(image) == 0
    assert component_count(image + 0.3) == 0  # one even grey has no regions either
    assert component_count(image + 0.3 + 1e-3 * torch.eye(8)) == 0
    image[0, 1, 1] = image[0, 2, 2] = 1.0  # joined by a corner
    image[0, 6, 1] = 0.6
    image[0, 5, 6] = 0.4  # below half of the peak
    assert component_count(image) == 2
    colours = torch.zeros(3, 8, 8)
    colours[0, 1, 1] = colours[1, 5, 5] = colours[2, 5, 5] = 0.5
    assert component_count(colours) == 1  # the second spot is twice as bright, all told
    assert component_count(colours[:2]) == 2


def test_distance_is_that_of_pot_and_colours_weigh_by_mass() -> None:
    ot = import_pot()
    a, b = torch.rand(2, 1, 12, 9, generator=torch.Generator().manual_seed(1)).double()
    a[a < 0.5], b[b < 0.7] = 0, 0
    places = [np.argwhere(x[0].numpy() > THRESHOLD * float(x.max())) for x in (a, b)]
    weights = [x[0].numpy()[tuple(p.T)] for x, p in zip((a, b), places, strict=True)]
    expected = ot.emd2(*(w / w.sum() for w in weights), ot.dist(*(p.astype(float) for p in places)))
    assert squared_w2(a, b) == pytest.approx(expected, rel=1e-9)
    assert squared_w2(3 * a, b) == pytest.approx(expected, rel=1e-9)
    # One colour 3 away with mass 1, one 0 away with mass 3, one that neither has.
    first, second = torch.zeros(2, 3, 8, 8)
    first[0, 2, 2] = second[0, 2, 5] = 0.25
    first[1, 4, 4] = second[1, 4, 4] = 0.75
    assert squared_w2(first, second) == pytest.approx(9 / 4)
    # What is missing of the second colour is as far as the corner (0, 0) or (7, 7).
    missing = first * torch.tensor([1.0, 0, 1]).view(3, 1, 1)
    assert squared_w2(missing, second) == pytest.approx((9 + 3 * (4**2 + 4**2)) / 4)


def test_colours_weigh_by_mass(scoring: ScoreContext) -> None:
    exact = moved(1, colours=2) * torch.tensor([0.25, 0.75]).view(2, 1, 1)
    frames = exact.clone()
    frames[:, :, 0] = frames[:, :, 0].roll(4, -1)
    paths = known(frames, exact.double())
    assert CentroidError().compute(paths, scoring).value == pytest.approx(1, abs=1e-5)
    assert GeodesicW2().compute(paths, scoring).value == pytest.approx(2, abs=1e-5)
    assert EnergyGap().compute(paths, scoring).value == pytest.approx(
        EnergyGap().compute(known(exact, exact.double()), scoring).value, rel=0.02
    )


def test_a_path_of_full_haze_is_scored_in_two_seconds(scoring: ScoreContext) -> None:
    exact = moved(2)
    haze = 0.02 * torch.rand(exact.shape, generator=torch.Generator().manual_seed(0))
    paths = known((exact * 0.98 + haze), exact.double())
    begin = time.process_time()
    value = GeodesicW2().compute(paths, scoring).value
    assert time.process_time() - begin < 2
    # Ten units of haze beside 49 of disc lie some ten pixels away.
    assert 3 < value < 8


def test_what_cannot_be_scored_is_named(scoring: ScoreContext) -> None:
    exact = moved()
    with pytest.raises(ValueError, match=r"'frames' has values .*wanted \[0, 1\]"):
        GeodesicW2().compute(known(exact * 255, exact.double()), scoring)
    still = known(exact, exact[:, :1].double().expand_as(exact))
    with pytest.raises(Undefined, match="the same"):
        EnergyGap().compute(still, scoring)
    short = dataclasses.replace(known(exact, exact.double()), times=torch.tensor([0.0, 1.0]))
    with pytest.raises(Undefined, match="none between its ends"):
        CentroidError().compute(short, scoring)
    for wrong in (lambda: GeodesicW2("median"), lambda: EnergyGap(ends="both")):
        with pytest.raises(ValueError, match="must be"):
            wrong()
    with pytest.raises(ValueError, match="open, periodic"):
        MassLeak("noflux")
    assert GeodesicW2("max").id == "geodesic_w2[max,threshold=0.001]"
    assert MassLeak("periodic").id == "mass_leak[periodic,floor=0.001]"
