"""Pictures of maps between distributions: clouds, warped grids, level lines, flows, curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from otbench.files import whole
from otbench.report.pictures import COLOURS, all_stored, folded, pyplot

COLUMNS = 5
MARGIN = 0.08
"""Margin around source and target, as a share of their extent."""

FAINT, SOURCE, TARGET, PUSHED = "#cccccc", "#1b6ca8", "#555555", "#c2410c"
LINE_EVERY = 4
"""One row or column of the raster in this many is drawn as a grid line."""

LEVELS = 18
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
FLOW_POINTS = 1000
TRACKS = 40
"""Number of paths of single points that are drawn in a flow."""

NARROW, WIDE = 5.0, 1e3
"""Ratios of a scale's ends. Below the first, ticks are evenly spaced; above the second, they are at
powers of ten only."""

CAP = 100.0
"""Largest percentage that is drawn; curves are clipped there."""

Arrays = Mapping[str, np.ndarray]
"""The arrays that `otbench.scoring.gallery.write_clouds` wrote for one method."""

Panel = tuple[str, Callable[[Any], None], np.ndarray]
"""A title, a function that draws on the axes, and the points (n, 2) that the axes must show."""


def map_sheet(kind: str, galleries: Mapping[str, Path], path: Path) -> Path | None:
    """Draw the maps of all methods on one data set.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    galleries : dict of str to Path
        Method labels, and the ``gallery.npz`` of each.
    path : Path
        The PNG to write.

    Returns
    -------
    Path or None
        None if no gallery holds the arrays that the picture needs.
    """
    return saved(map_figure(kind, galleries), path)


def map_figure(kind: str, galleries: Mapping[str, Path]) -> Any:
    """Return the figure of `map_sheet`, or None."""
    needs, panels_of = KINDS[kind]
    shown: dict[str, Arrays] = {}
    for label, path in galleries.items():
        arrays = all_stored(path, lambda name: True)
        if needs in arrays:
            shown[label] = {name: _planar(array, name) for name, array in arrays.items()}
    if not shown:
        return None
    panels = list(panels_of(shown))
    columns = len(TIMES) if kind == "flows" else min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (2.6 * columns, 2.9 * rows)
    figure, axes = pyplot().subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (title, draw, points) in zip(axes.flat, panels, strict=False):
        draw(axis)
        axis.set_title(folded(title), fontsize=8)
        show_square(axis, points, MARGIN)
    figure.tight_layout(pad=0.6, h_pad=1.5)
    return figure


def saved(figure: Any, path: Path) -> Path | None:
    """Write a figure, close it and return its path; return None for None."""
    if figure is None:
        return None
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot().close(figure)
    return path


def _planar(points: np.ndarray, name: str) -> np.ndarray:
    """Return clouds (n, 2); a single coordinate becomes the horizontal one."""
    if name in ("source", "target", "pushed") and points.shape[1] == 1:
        return np.pad(points, ((0, 0), (0, 1)))
    return points


def _frame(points: np.ndarray, margin: float = MARGIN) -> tuple[np.ndarray, float]:
    """Return the centre and half the side of the square that contains points (n, 2)."""
    reach = float(np.ptp(points, axis=0).max())
    return (points.max(0) + points.min(0)) / 2, (0.5 + margin) * (reach or 1.0)


def show_square(axis: Any, points: np.ndarray, margin: float) -> None:
    """Show the square around points (n, 2), with a margin as a share of its side."""
    middle, half = _frame(points, margin)
    axis.set_xlim(middle[0] - half, middle[0] + half)
    axis.set_ylim(middle[1] - half, middle[1] + half)
    axis.set_aspect("equal")
    axis.tick_params(labelsize=6, length=2)


def _both(arrays: Arrays) -> np.ndarray:
    return np.concatenate([arrays["source"], arrays["target"]])


def _scatter(axis: Any, points: np.ndarray, colour: str) -> None:
    style = {"s": 3, "c": FAINT} if colour == FAINT else {"s": 2, "c": colour, "alpha": 0.6}
    axis.scatter(*points.T, linewidths=0, **style)


def _clouds(shown: Mapping[str, Arrays]) -> Iterator[Panel]:
    """Draw source and target, then each method's pushed points over the faint target.

    All panels show the same part of the plane; the title counts the points outside it.
    """

    def draw(axis: Any, arrays: Arrays) -> None:
        _scatter(axis, arrays["target"], FAINT)
        _scatter(axis, arrays["pushed"], PUSHED)

    first = next(iter(shown.values()))
    for name, colour in (("source", SOURCE), ("target", TARGET)):
        yield name, partial(_scatter, points=first[name], colour=colour), _both(first)
    for label, arrays in shown.items():
        middle, half = _frame(_both(arrays))
        outside = int((np.abs(arrays["pushed"] - middle) > half).any(1).sum())
        title = label + (f"\n{outside} outside" if outside else "")
        yield title, partial(draw, arrays=arrays), _both(arrays)


def _grids(shown: Mapping[str, Arrays]) -> Iterator[Panel]:
    """Draw a regular grid over the source, then its image under each method over the target.

    The panels show the part of the plane that contains the source or the target.
    """

    def draw(axis: Any, arrays: Arrays, cloud: str, raster: str, colour: str) -> None:
        _scatter(axis, arrays[cloud], FAINT)
        for lines in (arrays[raster], arrays[raster].swapaxes(0, 1)):
            for line in lines[::LINE_EVERY]:
                axis.plot(*line.T, color=colour, linewidth=0.6)

    before = {"cloud": "source", "raster": "grid", "colour": SOURCE}
    after = {"cloud": "target", "raster": "warped", "colour": PUSHED}
    first = next(iter(shown.values()))
    yield "source", partial(draw, arrays=first, **before), first["source"]
    for label, arrays in shown.items():
        yield label, partial(draw, arrays=arrays, **after), arrays["target"]


def _levels(shown: Mapping[str, Arrays]) -> Iterator[Panel]:
    """Draw evenly spaced level lines of each method's potential over the faint source."""

    def draw(axis: Any, arrays: Arrays) -> None:
        _scatter(axis, arrays["source"], FAINT)
        values, (x, y) = arrays["potential"], np.moveaxis(arrays["grid"], 2, 0)
        heights = np.linspace(values.min(), values.max(), LEVELS + 2)[1:-1]
        if np.ptp(values) > 0:
            axis.contour(x, y, values, levels=heights, cmap="viridis", linewidths=0.8)

    for label, arrays in shown.items():
        yield label, partial(draw, arrays=arrays), arrays["source"]


def _flows(shown: Mapping[str, Arrays]) -> Iterator[Panel]:
    """Draw moving points, (1 - t) x + t push(x), and the paths of a few; one row per method."""

    def draw(axis: Any, arrays: Arrays, time: float) -> None:
        start, end = (arrays[name][:FLOW_POINTS] for name in ("source", "pushed"))
        at = (1 - time) * start + time * end
        _scatter(axis, arrays["target"], FAINT)
        for a, b in zip(start[:TRACKS], at[:TRACKS], strict=True):
            axis.plot(*zip(a, b, strict=True), color=TARGET, linewidth=0.4, alpha=0.6)
        axis.scatter(*at.T, s=2, c=[_mixed(SOURCE, PUSHED, time)], alpha=0.6, linewidths=0)

    for label, arrays in shown.items():
        for time in TIMES:
            title = f"{label}\nt = {time:g}" if not time else f"t = {time:g}"
            yield title, partial(draw, arrays=arrays, time=time), _both(arrays)


def _mixed(first: str, second: str, share: float) -> tuple[float, ...]:
    a, b = (np.array([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for c in (first, second))
    return tuple((1 - share) * a + share * b)


KINDS: dict[str, tuple[str, Callable[[Mapping[str, Arrays]], Iterator[Panel]]]] = {
    "transport": ("pushed", _clouds),
    "grid": ("warped", _grids),
    "levels": ("potential", _levels),
    "flows": ("warped", _flows),
}
"""The pictures, each with the array that it needs and the function that makes its panels."""

Records = Mapping[str, Sequence[Mapping[str, Any]]]
"""The records of all seeds, by method."""


def curve_sheet(records: Records, path: Path) -> Path | None:
    """Draw the unexplained variance over the seconds of training; see `curve_figure`."""
    return saved(curve_figure({"": records}), path)


def curve_figure(panels: Mapping[str, Records]) -> Any:
    """Draw the unexplained variance over the seconds of training, both on logarithmic scales.

    There is one line per seed, in the method's colour. A method that was not evaluated during
    training is a dashed line at its score. Values above `CAP` are drawn at `CAP`.

    Parameters
    ----------
    panels : dict of str to dict
        Titles, each with the records by method that the panel shows.

    Returns
    -------
    Figure or None
        None if no training was evaluated on the way.
    """
    panels = {title: own for title, own in panels.items() if _followed(own)}
    if not panels:
        return None
    size = (5.6 * len(panels), 3.6)
    figure, axes = pyplot().subplots(1, len(panels), figsize=size, squeeze=False)
    for axis, (title, records) in zip(axes[0], panels.items(), strict=True):
        for (method, own), colour in zip(records.items(), cycle(COLOURS), strict=False):
            label: str | None = folded(method)
            for record in own:
                points = _errors(record)
                values = [min(point["uvp"], CAP) for point in points]
                if points:
                    seconds = [point["seconds"] for point in points]
                    style = {"marker": ".", "markersize": 4, "linewidth": 1.1}
                    axis.plot(seconds, values, color=colour, label=label, **style)
                elif (last := _final(record)) is not None:
                    style = {"linestyle": "--", "linewidth": 0.9, "zorder": 1}
                    axis.axhline(min(last, CAP), color=colour, label=label, **style)
                else:
                    continue
                label = None
        _logarithmic(axis)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel("seconds of training")
        axis.set_ylabel(f"UVP, percent (at most {CAP:g})")
        axis.grid(which="both", color="0.93", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout(pad=0.6)
    return figure


def _logarithmic(axis: Any) -> None:
    """Make both scales logarithmic, with plain numbers at powers of ten, at 1, 2, 5, or closer."""
    from matplotlib import ticker

    axis.set_xscale("log")
    axis.set_yscale("log")
    for scale in (axis.xaxis, axis.yaxis):
        low, high = scale.get_view_interval()
        locator: Any = ticker.LogLocator(subs=(1,) if high > WIDE * low else (1, 2, 5))
        if high < NARROW * low:
            locator = ticker.MaxNLocator(5)
        scale.set_major_locator(locator)
        scale.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        scale.set_minor_formatter(ticker.NullFormatter())


def _followed(records: Records) -> bool:
    return any(_errors(record) for own in records.values() for record in own)


def _errors(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the points of a record's curve that have an error; maps of images have no errors."""
    return [point for point in record.get("curve", []) if "uvp" in point]


def _final(record: Mapping[str, Any]) -> float | None:
    """Return the trained map's forward unexplained variance, if it has a value above 0."""
    scores = [row["value"] for row in record["rows"] if row["metric"] == "uvp[forward]"]
    return scores[0] if scores and scores[0] else None
