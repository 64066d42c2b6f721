"""The picture of maps of images while they train: what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otbench.report.collapse import SEEN, collapse_figure, collapse_sheet
from otbench.report.maps import curve_figure
from otbench.report.pictures import pyplot


def record(coverage: list[float], modes: list[float] | None = None) -> dict[str, Any]:
    curve = [
        {"step": 100 * k, "seconds": 1.0 * k, "coverage": value, "pairwise": 0.9}
        for k, value in enumerate(coverage, 1)
    ]
    for point, share in zip(curve, modes or [], strict=False):
        point["modes"] = share
    return {"curve": curve, "rows": []}


RISING, FALLEN = [0.1, 0.3, 0.5, 0.6], [0.5, 0.7, 0.2, 0.2]


def marked(axis: Any) -> list[list[float]]:
    """Return where the crosses are."""
    return [list(at) for marks in axis.collections for at in marks.get_offsets()]


def test_there_is_a_line_a_seed_a_row_a_sign_and_a_cross_where_it_fired() -> None:
    runs = {
        "not-unet": [record(RISING, [1.0] * 4), record(RISING, [1.0] * 4)],
        "not-unet[k_t=1]": [record(FALLEN, [1.0] * 4), record(RISING, [1, 1, 1, 0.25])],
        "identity": [{"curve": [], "rows": []}],
    }
    figure = collapse_figure({"faces": runs, "nothing": {"identity": [{"rows": []}]}})
    coverage, pairwise, modes = figure.axes
    for axis in figure.axes:
        lines = [line for line in axis.lines if len(line.get_xdata()) == 4]
        assert len(lines) == 4
        assert len({line.get_color() for line in lines}) == 2
    assert marked(coverage) == [[400, 0.2]]
    assert marked(pairwise) == []
    assert marked(modes) == [[400, 0.25]]
    labels = [text.get_text() for text in coverage.get_legend().get_texts()]
    assert labels == ["not-unet", "not-unet [k_t=1]", SEEN]
    pyplot().close(figure)


def test_without_labels_there_is_no_row_of_modes(tmp_path: Path) -> None:
    figure = collapse_figure({"a": {"m": [record(RISING)]}, "b": {"m": [record(FALLEN)]}})
    assert len(figure.axes) == 4
    pyplot().close(figure)
    sheet = collapse_sheet({"m": [record(RISING)]}, tmp_path / "collapse.png")
    assert sheet is not None
    assert sheet.stat().st_size > 5000


def test_errors_and_collapses_are_pictures_of_their_own(tmp_path: Path) -> None:
    error = {"curve": [{"step": 1, "seconds": 1.0, "uvp": 3.0}], "rows": []}
    assert collapse_sheet({"linear": [error]}, tmp_path / "none.png") is None
    assert curve_figure({"images": {"m": [record(RISING)]}}) is None
    figure = curve_figure({"both": {"linear": [error], "m": [record(RISING)]}})
    assert len(figure.axes[0].lines) == 1
    pyplot().close(figure)
