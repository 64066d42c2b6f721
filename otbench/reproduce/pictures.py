"""Pictures of reproductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from otbench.report.collapse import collapse_figure
from otbench.report.maps import curve_figure, map_figure
from otbench.report.pictures import COLOURS, pyplot, stored
from otbench.report.terminal import number
from otbench.reproduce.clouds import Panel, draw_clouds
from otbench.reproduce.declaration import Reproduction, Run
from otbench.reproduce.expression import Address
from otbench.reproduce.measure import Measured, asked_by
from otbench.run.runner import Outcome

STRIP_WIDTH = 9.0
"""Width of one path, in inches."""

STRIP_STEPS = 10
"""Approximate number of steps of a path that are shown."""

WALLS = (70, 90, 130)
"""Colour of walls, which are black in the images themselves."""

_Labelled = tuple[str, str, np.ndarray, str]
"""A title above a strip, a label to its left, the strip (c, h, w), and a text to its right."""

Galleries = dict[tuple[str, str], Path]
"""The pictures of the first seed's cell, by run and method."""

Records = dict[tuple[str, str], list[dict[str, Any]]]
"""The records of all seeds, by run and method."""


@dataclass(frozen=True)
class _Sheet:
    """The runs to show, with their numbers and pictures."""

    reproduction: Reproduction
    runs: Sequence[Run]
    known: dict[Address, Measured]
    galleries: Galleries
    records: Records

    @property
    def quantities(self) -> tuple[str, ...]:
        return self.reproduction.picture.quantities

    def scores(self, run: Run, method: str) -> str:
        """Return the quantities that are printed beside a picture, as text."""
        addresses = [(run.name, name, method) for name in self.quantities]
        return "\n".join(
            f"{a[1]} {number(self.known[a].mean)}" for a in addresses if a in self.known
        )


def draw(
    reproduction: Reproduction,
    outcome: Outcome,
    first: int,
    numbers: Sequence[Measured],
    path: Path,
) -> Path | None:
    """Draw the picture of a reproduction; return None if there is nothing to draw.

    Parameters
    ----------
    reproduction : Reproduction
    outcome : Outcome
    first : int
        Index of the reproduction's first sweep in the request.
    numbers : sequence of Measured
    path : Path
        The PNG to write.
    """
    wanted = reproduction.picture.runs
    runs = [run for run in reproduction.runs if not wanted or run.name in wanted]
    known = {one.address: one for one in numbers if one.values}
    galleries, records = _galleries(reproduction, outcome, first)
    sheet = _Sheet(reproduction, runs, known, galleries, records)
    figure = DRAWERS.get(reproduction.picture.kind, _maps)(sheet)
    if figure is None:
        return None
    figure.savefig(path, dpi=130, bbox_inches="tight")
    pyplot().close(figure)
    return path


def _galleries(
    reproduction: Reproduction, outcome: Outcome, first: int
) -> tuple[Galleries, Records]:
    found: Galleries = {}
    records: Records = {}
    for grid, (run, method) in enumerate(asked_by(reproduction), first):
        jobs = outcome.asked.get(grid, [])
        records[run.name, method] = [record for job in jobs if (record := outcome.record(job))]
        for job in jobs[:1]:
            if (job.folder / "gallery.npz").exists():
                found[run.name, method] = job.folder / "gallery.npz"
    return found, records


def _show(axis: Any, image: np.ndarray) -> None:
    """Show an 8-bit image (c, h, w) without axes, scaled so that its brightest pixel is white."""
    bright = image / max(int(image.max()), 1)
    style = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
    axis.imshow(bright.transpose(1, 2, 0).squeeze(), **style)
    axis.set_xticks([])
    axis.set_yticks([])


def _strip(file: Path, pair: int) -> np.ndarray | None:
    """Return the frames of a path side by side, (c, h, k w), with walls in colour."""
    paths, walls = stored(file, "paths"), stored(file, "obstacles")
    if paths is None or len(paths) <= pair:
        return None
    frames = paths[pair, :: max(1, round((paths.shape[1] - 1) / STRIP_STEPS))]
    if walls is not None and frames.shape[1] == 1:
        bright = frames * (255 / max(int(frames.max()), 1))
        colour = np.array(WALLS).reshape(3, 1, 1)
        frames = np.where(walls > 0, colour, np.repeat(bright, 3, 1)).astype(np.uint8)
    return np.concatenate(list(frames), 2)


def _paths(sheet: _Sheet) -> Any:
    pairs = sheet.reproduction.picture.pairs
    strips: list[_Labelled] = []
    for run in sheet.runs:
        for pair in pairs:
            title = run.name if len(pairs) == 1 else f"{run.name}, {pair + 1}"
            for method in run.methods:
                file = sheet.galleries.get((run.name, method))
                strip = _strip(file, pair) if file else None
                if strip is not None:
                    # The numbers are means over all pairs, so they are printed only once.
                    first = pair == pairs[0]
                    scores = sheet.scores(run, method) if first else ""
                    strips.append((title, method, strip, scores))
                    title = ""
    return _stacked(strips)


def _images(sheet: _Sheet) -> Any:
    """Draw a few images of each run above the outputs of each method for them."""
    strips: list[_Labelled] = []
    for run in sheet.runs:
        title = run.name
        for method in run.methods:
            file = sheet.galleries.get((run.name, method))
            made = ("reconstructions", "translated")
            for name in ("images", *made) if title else made:
                stack = stored(file, name) if file else None
                if stack is not None:
                    of_method = name in made
                    scores = sheet.scores(run, method) if of_method else ""
                    strip = np.concatenate(list(stack), 2)
                    strips.append((title, method if of_method else "data", strip, scores))
                    title = ""
    return _stacked(strips)


def _stacked(strips: list[_Labelled]) -> Any:
    """Draw strips of equal width one below the other; return None if there are none."""
    if not strips:
        return None
    sizes = [np.array(strip.shape[1:]) * STRIP_WIDTH / strip.shape[2] for *_, strip, _ in strips]
    gaps = [0.42 if title else 0.1 for title, *_ in strips]
    tops = np.cumsum([gap + h for gap, (h, _) in zip(gaps, sizes, strict=True)])
    figure = pyplot().figure(figsize=(STRIP_WIDTH, tops[-1]))
    for (title, method, strip, scores), (h, w), top in zip(strips, sizes, tops, strict=True):
        axis = figure.add_axes((0, 1 - top / tops[-1], w / STRIP_WIDTH, h / tops[-1]))
        _show(axis, strip)
        axis.set_ylabel(method, rotation=0, ha="right", va="center")
        axis.text(1.01, 0.5, scores, transform=axis.transAxes, va="center", fontsize=8)
        if title:
            axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
    return figure


def _barycenters(sheet: _Sheet) -> Any:
    shown = {m for run in sheet.runs for m in run.methods if (run.name, m) in sheet.galleries}
    methods = [method for method in sheet.reproduction.methods if method in shown]
    if not methods:
        return None
    size = (3.1 * len(methods), 3.4 * len(sheet.runs))
    figure, axes = pyplot().subplots(
        len(sheet.runs), len(methods), figsize=size, squeeze=False, layout="constrained"
    )
    for row, run in zip(axes, sheet.runs, strict=True):
        for axis, method in zip(row, methods, strict=True):
            file = sheet.galleries.get((run.name, method))
            stack = stored(file, "barycenters") if file else None
            if stack is None:
                axis.axis("off")
                continue
            side = round(len(stack) ** 0.5)
            rows = [
                np.concatenate(list(stack[i : i + side]), 2) for i in range(0, len(stack), side)
            ]
            _show(axis, np.concatenate(rows, 1))
            axis.set_title(f"{run.name}: {method}", fontsize=10)
            axis.set_xlabel(sheet.scores(run, method), fontsize=8)
    return figure


def _curves(sheet: _Sheet) -> Any:
    if not sheet.known:
        return None
    quantities = sheet.quantities
    figure, axes = pyplot().subplots(
        1,
        len(quantities),
        figsize=(4.6 * len(quantities), 3.4),
        squeeze=False,
        layout="constrained",
    )
    for axis, quantity in zip(axes[0], quantities, strict=True):
        for method, colour in zip(sheet.reproduction.methods, COLOURS, strict=False):
            points = [(run.x, sheet.known.get((run.name, quantity, method))) for run in sheet.runs]
            drawn = [(x, one) for x, one in points if x is not None and one]
            if drawn:
                axis.errorbar(
                    [x for x, _ in drawn],
                    [one.mean for _, one in drawn],
                    [one.std or 0.0 for _, one in drawn],
                    marker="o",
                    capsize=3,
                    color=colour,
                    label=method,
                )
        axis.set_xscale("log")
        axis.set_xlabel(sheet.reproduction.picture.x_label)
        axis.set_ylabel(quantity)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False)
    return figure


def _dots(sheet: _Sheet) -> Any:
    panels = [(run, name) for run in sheet.runs for name in sheet.quantities]
    if not sheet.known:
        return None
    size = (4.2 * len(panels), 1.1 + 0.32 * len(sheet.reproduction.methods))
    figure, axes = pyplot().subplots(
        1, len(panels), figsize=size, squeeze=False, layout="constrained"
    )
    for axis, (run, quantity) in zip(axes[0], panels, strict=True):
        drawn = [one for m in run.methods if (one := sheet.known.get((run.name, quantity, m)))]
        places = list(range(len(drawn), 0, -1))
        spread = [one.std or one.stderr or 0.0 for one in drawn]
        style = {"fmt": "o", "color": COLOURS[0], "capsize": 3, "label": "ours"}
        axis.errorbar([one.mean for one in drawn], places, xerr=spread, **style)
        paper = [
            (one.published, p)
            for one, p in zip(drawn, places, strict=True)
            if one.published and math.isfinite(one.published)
        ]
        if paper:
            axis.plot(*zip(*paper, strict=True), "D", color=COLOURS[1], mfc="none", label="paper")
            axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        axis.set_yticks(places, [one.method for one in drawn])
        axis.set_ylim(0.4, len(drawn) + 0.6)
        axis.set_title(f"{run.name}: {quantity}", loc="left", fontsize=10)
        axis.grid(axis="x", color="0.9")
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _maps(sheet: _Sheet) -> Any:
    labelled = {}
    for run in sheet.runs:
        for method in run.methods:
            if (run.name, method) in sheet.galleries:
                title = f"{run.name}: {method}\n{sheet.scores(run, method)}".rstrip()
                labelled[title] = sheet.galleries[run.name, method]
    return map_figure(sheet.reproduction.picture.kind, labelled)


def _followed(figure: Callable[[Any], Any], sheet: _Sheet) -> Any:
    """Draw the evaluations of maps during training, one panel a run."""
    panels = {
        run.name: {method: sheet.records.get((run.name, method), []) for method in run.methods}
        for run in sheet.runs
    }
    return figure(panels)


def _clouds(sheet: _Sheet) -> Any:
    rows = [
        [
            Panel(f"{run.name}: {method}", sheet.galleries[run.name, method], scores)
            for method in run.methods
            if (run.name, method) in sheet.galleries
            for scores in [sheet.scores(run, method)]
        ]
        for run in sheet.runs
    ]
    return draw_clouds([row for row in rows if row])


DRAWERS: dict[str, Callable[[_Sheet], Any]] = {
    "paths": _paths,
    "images": _images,
    "barycenters": _barycenters,
    "curves": _curves,
    "dots": _dots,
    "clouds": _clouds,
    "curve": partial(_followed, curve_figure),
    "collapse": partial(_followed, collapse_figure),
}
"""The function that draws each kind of picture; `_maps` draws all other kinds."""
