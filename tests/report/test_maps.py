"""Pictures of maps in the plane and of errors over seconds: what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.conformance import TinyPair
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import Budget, FitContext
from otbench.report.maps import CAP, KINDS, TIMES, curve_figure, curve_sheet, map_figure, map_sheet
from otbench.report.pictures import pyplot
from otbench.scoring.gallery import GRID, write_clouds
from otbench_methods.sampled_maps.linear import Constant, Linear

PAIR = TinyPair()


class Cross(TinyPair):
    """Its source lies along the two axes, its grid has corners."""

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        points = 3 * torch.randn(n, 2, generator=generator)
        points[::2, 0] /= 100
        points[1::2, 1] /= 100
        return points


NARROW = Cross()


@pytest.fixture(scope="module")
def galleries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("galleries")
    ctx = ScoreContext(torch.device("cpu"), 0, PAIR)
    found = {}
    for method in (Linear(), Constant()):
        method.fit(PAIR, FitContext(Budget(1)))
        found[type(method).__name__] = folder / f"{type(method).__name__}.npz"
        write_clouds(found[type(method).__name__], method, PAIR, ctx)
    return found


def test_the_grid_and_the_potential_are_the_map_s(galleries: dict[str, Path]) -> None:
    with np.load(galleries["Linear"]) as arrays:
        grid, warped, potential = (arrays[n] for n in ("grid", "warped", "potential"))
        low, high = np.quantile(arrays["source"], [0.005, 0.995], axis=0)
    assert grid.shape == warped.shape == (GRID, GRID, 2)
    np.testing.assert_allclose([grid[0, 0], grid[-1, -1]], [low, high], rtol=1e-4)
    truth = PAIR.true_map(torch.from_numpy(grid).flatten(0, 1)).view(GRID, GRID, 2).numpy()
    np.testing.assert_allclose(warped, truth, atol=0.1)
    # the map is the potential's gradient: rows go along y, columns along x
    steps = grid[1, 1] - grid[0, 0]
    along_y, along_x = np.gradient(potential.astype(np.float64), steps[1], steps[0])
    inner = (slice(1, -1), slice(1, -1))
    gradient = np.stack([along_x, along_y], 2)
    np.testing.assert_allclose(gradient[inner], warped[inner], atol=2e-2)
    with np.load(galleries["Constant"]) as arrays:
        assert "potential" not in arrays.files


def test_a_map_that_knows_its_source_alone_has_no_grid(tmp_path: Path) -> None:
    class Local(Linear):
        def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
            return super().push(x) / (x.abs().amin(1, keepdim=True) < 2)

        def potential_value(self, x: Tensor) -> Tensor:
            return x[:, 0] / (x[:, 0] < 2)

    class Steep(Local):
        push = Linear.push

    ctx = ScoreContext(torch.device("cpu"), 0, NARROW)
    for kind, wanted in ((Local, {"pushed"}), (Steep, {"pushed", "grid", "warped"})):
        method = kind()
        method.fit(NARROW, FitContext(Budget(1)))
        write_clouds(tmp_path / "gallery.npz", method, NARROW, ctx)
        with np.load(tmp_path / "gallery.npz") as arrays:
            assert set(arrays) == {"source", "target"} | wanted


@pytest.mark.parametrize(("kind", "panels"), [("transport", 4), ("grid", 3), ("levels", 1)])
def test_every_method_has_a_panel(kind: str, panels: int, galleries: dict[str, Path]) -> None:
    figure = map_figure(kind, galleries)
    assert len([axis for axis in figure.axes if axis.get_visible()]) == panels
    pyplot().close(figure)


def test_a_flow_goes_from_source_to_pushed(galleries: dict[str, Path]) -> None:
    figure = map_figure("flows", galleries)
    rows = np.reshape(figure.axes, (2, len(TIMES)))
    with np.load(galleries["Linear"]) as arrays:
        ends = arrays["source"], arrays["pushed"]
    for axis, time in zip(rows[0], TIMES, strict=True):
        shown = axis.collections[-1].get_offsets()
        wanted = (1 - time) * ends[0][:1000] + time * ends[1][:1000]
        np.testing.assert_allclose(shown, wanted, atol=1e-5)
    assert [axis.get_title() for axis in rows[0]][:2] == ["Linear\nt = 0", "t = 0.25"]
    pyplot().close(figure)


def test_level_lines_are_those_of_the_potential(galleries: dict[str, Path]) -> None:
    figure = map_figure("levels", galleries)
    (contours,) = [c for c in figure.axes[0].collections if hasattr(c, "levels")]
    with np.load(galleries["Linear"]) as arrays:
        potential = arrays["potential"]
    assert potential.min() < contours.levels[0] < contours.levels[-1] < potential.max()
    np.testing.assert_allclose(np.diff(contours.levels), np.diff(contours.levels)[0], rtol=1e-5)
    pyplot().close(figure)


def test_sheets_are_written_or_not(galleries: dict[str, Path], tmp_path: Path) -> None:
    for kind in KINDS:
        sheet = map_sheet(kind, galleries, tmp_path / f"{kind}.png")
        assert sheet is not None
        assert sheet.stat().st_size > 5000
        assert map_sheet(kind, {}, tmp_path / "none.png") is None


def record(*points: tuple[float, float], uvp: float | None = None) -> dict[str, Any]:
    rows = [] if uvp is None else [{"metric": "uvp[forward]", "value": uvp}]
    curve = [{"step": k, "seconds": s, "uvp": u} for k, (s, u) in enumerate(points)]
    return {"curve": curve, "rows": rows}


def test_a_curve_has_a_line_a_seed_and_a_level_for_the_others() -> None:
    records = {
        "enot": [record((1, 900), (10, 5)), record((1, 50), (10, 4), uvp=4)],
        "linear": [record(uvp=14)],
        "broken": [record()],
    }
    figure = curve_figure({"a": records, "nothing": {"linear": [record(uvp=14)]}})
    (axis,) = figure.axes
    first, second, level = axis.lines
    assert list(first.get_xdata()) == [1, 10]
    assert list(first.get_ydata()) == [CAP, 5]
    assert first.get_color() == second.get_color() != level.get_color()
    assert list(level.get_ydata()) == [14, 14]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["enot", "linear"]
    pyplot().close(figure)


def test_without_a_curve_there_is_no_picture(tmp_path: Path) -> None:
    old = {"rows": []}
    assert curve_sheet({"linear": [record(uvp=14)], "old": [old]}, tmp_path / "c.png") is None
    drawn = curve_sheet({"enot": [record((1, 9), (2, 5))], "old": [old]}, tmp_path / "c.png")
    assert drawn == tmp_path / "c.png"
    assert drawn.stat().st_size > 5000
