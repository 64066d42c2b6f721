"""A picture of maps of images during training: their coverage, and where they collapsed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from otbench.metrics.collapse import MODES, PAIRWISE, collapse_in
from otbench.report.maps import Records, saved
from otbench.report.pictures import COLOURS, folded, pyplot

SIGNS: dict[str, tuple[str, float | None]] = {
    "coverage": ("coverage, k = 5", None),
    "pairwise": ("pairwise distance\nover the target's", PAIRWISE),
    "modes": ("share of modes\nreached", MODES),
}
"""The quantities drawn, their names, and the values below which they alone show a collapse."""

SEEN = "collapse seen"


def collapse_sheet(records: Records, path: Path) -> Path | None:
    """Draw one data set and save the picture as a PNG; see `collapse_figure`."""
    return saved(collapse_figure({"": records}), path)


def collapse_figure(panels: Mapping[str, Records]) -> Any:
    """Draw coverage, ratio of pairwise distances and modes reached over the updates of training.

    There is one row for each of the three (none for the modes if they were not counted), one
    column for each panel, and one line for each seed, in the method's colour. A cross marks the
    evaluation at which `otbench.metrics.collapse.collapse_in` detects a collapse, in the row of the
    quantity that shows it. Dotted lines are the thresholds of the signs that need no history.

    Parameters
    ----------
    panels : dict of str to dict
        Titles, each with the records by method that the panel shows.

    Returns
    -------
    Figure or None
        None if no map of images was evaluated during training.
    """
    panels = {title: own for title, own in panels.items() if any(map(_drawn, own.values()))}
    if not panels:
        return None
    points = [
        point
        for own in panels.values()
        for records in own.values()
        for record in records
        for point in record.get("curve", [])
    ]
    signs = [sign for sign in SIGNS if any(sign in point for point in points)]
    figure, axes = pyplot().subplots(
        len(signs),
        len(panels),
        figsize=(4.6 * len(panels) + 1.4, 1.9 * len(signs) + 0.5),
        squeeze=False,
        sharex="col",
        sharey="row",
        layout="constrained",
    )
    for axis, sign in zip(axes[:, 0], signs, strict=True):
        axis.set_ylabel(SIGNS[sign][0], fontsize=8)
    for column, (title, own) in zip(axes.T, panels.items(), strict=True):
        labelled: dict[str, Any] = {}
        for axis, sign in zip(column, signs, strict=True):
            _panel(axis, own, sign)
            handles, labels = axis.get_legend_handles_labels()
            labelled = dict(zip(labels, handles, strict=True)) | labelled
        if SEEN in labelled:
            labelled[SEEN] = labelled.pop(SEEN)
        place = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        column[0].legend(labelled.values(), labelled, frameon=False, fontsize=7, **place)
        column[0].set_title(title, loc="left", fontsize=10)
        column[-1].set_xlabel("updates", fontsize=8)
    return figure


def _drawn(records: Any) -> bool:
    return any(SIGNS.keys() & point for record in records for point in record.get("curve", []))


def _panel(axis: Any, own: Mapping[str, Any], sign: str) -> None:
    seen: list[tuple[float, float]] = []
    for (method, records), colour in zip(own.items(), cycle(COLOURS), strict=False):
        label: str | None = folded(method)
        for record in records:
            points = [point for point in record.get("curve", []) if sign in point]
            if not points:
                continue
            steps, values = zip(*((p["step"], p[sign]) for p in points), strict=True)
            axis.plot(
                steps, values, color=colour, label=label, marker=".", markersize=4, linewidth=1.1
            )
            label = None
            collapse = collapse_in(record["curve"])
            if collapse is not None and collapse.sign == sign:
                seen += [at for at in zip(steps, values, strict=True) if at[0] == collapse.step]
    threshold = SIGNS[sign][1]
    if threshold is not None and axis.lines:
        axis.axhline(threshold, color="0.4", linestyle=":", linewidth=0.9, zorder=1)
    if seen:
        style = {"marker": "x", "s": 70, "linewidths": 2, "color": "black", "zorder": 4}
        axis.scatter(*zip(*seen, strict=True), label=SEEN, **style)
    if not axis.lines:
        axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes, fontsize=8)
    axis.set_ylim(bottom=0)
    axis.grid(color="0.93", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=7)
