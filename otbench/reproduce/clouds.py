"""Pictures of stochastic maps between distributions: clouds, mean displacements, losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from otbench.report.maps import show_square
from otbench.report.pictures import pyplot, stored

COLUMNS = 4
MARGIN = 0.15
"""Margin around source and target, as a share of their extent."""

SPAN = 200
"""Span, in steps, of the moving average of a loss."""


class Panel(NamedTuple):
    """One method on one pair: title, ``gallery.npz``, and the numbers to print below it."""

    title: str
    file: Path
    scores: str


def draw_clouds(rows: Sequence[Sequence[Panel]]) -> Any:
    """Draw each method's pushed points over the target, then the losses of the first row.

    For stochastic maps, arrows lead from some source points to their mean images.

    Parameters
    ----------
    rows : sequence of sequence of Panel
        One row of panels per pair.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if there are no rows.
    """
    if not rows:
        return None
    losses = {panel.title: stored(panel.file, "potential_losses") for panel in rows[0]}
    curves = {title: values for title, values in losses.items() if values is not None}
    panels = [panel for row in rows for panel in row]
    count = len(panels) + bool(curves)
    columns = min(COLUMNS, count)
    lines = -(-count // columns)
    figure, axes = pyplot().subplots(
        lines, columns, figsize=(3.3 * columns, 3.5 * lines), squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes.flat, panels, strict=False):
        _cloud(axis, panel)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    if curves:
        _losses(axes.flat[len(panels)], curves)
    return figure


def _planar(file: Path, name: str) -> np.ndarray | None:
    points = stored(file, name)
    if points is None or points.shape[1] == 2:
        return points
    return np.pad(points, ((0, 0), (0, 1)))


def _cloud(axis: Any, panel: Panel) -> None:
    source, target, pushed, means = (
        _planar(panel.file, name) for name in ("source", "target", "pushed", "barycentric")
    )
    assert source is not None
    assert target is not None
    assert pushed is not None
    axis.scatter(*target.T, s=3, c="#c8c8c8", linewidths=0)
    axis.scatter(*pushed.T, s=2, c="#d55e00", alpha=0.5, linewidths=0)
    if means is not None:
        start = source[: len(means)]
        axis.quiver(
            *start.T,
            *(means - start).T,
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.004,
            color="#0072b2",
        )
    show_square(axis, np.concatenate([source, target]), MARGIN)
    axis.set_title(panel.title, loc="left", fontsize=10)
    axis.set_xlabel(panel.scores, fontsize=8)


def _losses(axis: Any, curves: dict[str, np.ndarray]) -> None:
    from otbench.metrics.weak_structure import smoothed

    axis.axhline(0, color="0.7", linewidth=0.8)
    for title, values in curves.items():
        steps = np.arange(1, len(values) + 1)
        axis.plot(steps, smoothed(values, SPAN), linewidth=1, label=title)
    # The limits ignore the first steps and curves that do not settle, which are much larger.
    late = [np.abs(smoothed(v, SPAN)[len(v) // 2 :]).max() for v in curves.values()]
    reach = 3 * max(float(np.median(late)), 1e-6)
    axis.set_ylim(-reach, reach)
    axis.set_title(f"the potential's loss, smoothed over {SPAN} steps", loc="left", fontsize=9)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=6, length=2)
    axis.legend(frameon=False, fontsize=6)
