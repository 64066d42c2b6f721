"""One picture of a whole run: the paths of every method, or the clouds that it pushes."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = 5
MARGIN = 0.08
"""Room around source and target, as a share of their extent."""


def pyplot() -> Any:
    """Import matplotlib's pyplot, late and without a display."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def interpolation_sheet(galleries: dict[str, Path], path: Path, pairs: int = 3) -> Path | None:
    """Draw the paths of all methods under each other, for the same pairs.

    Parameters
    ----------
    galleries : dict of str to Path
        Method labels, and the ``gallery.npz`` of each.
    path : Path
        The PNG to write.
    pairs : int
        Pairs to show, side by side in blocks of rows.

    Returns
    -------
    Path or None
        None where no gallery holds paths.
    """
    strips = {}
    for label, file in galleries.items():
        with np.load(file) as arrays:
            if "paths" in arrays:
                strips[label] = arrays["paths"][:pairs]
    if not strips:
        return None
    plots = pyplot()
    count = min(len(paths) for paths in strips.values())
    figure, axes = plots.subplots(
        len(strips), count, figsize=(5.2 * count, 0.55 * len(strips) + 0.3), squeeze=False
    )
    for row, (label, paths) in zip(axes, strips.items(), strict=True):
        for axis, frames in zip(row, paths, strict=False):
            strip = np.concatenate(list(frames), axis=2).transpose(1, 2, 0)
            axis.imshow(strip.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return path


def transport_sheet(galleries: dict[str, Path], path: Path) -> Path | None:
    """Draw source and target, then the points that each method pushes over the faint target.

    All panels show the same part of the plane, that of source and target: points pushed farther
    are counted in the title.

    Parameters
    ----------
    galleries : dict of str to Path
        Method labels, and the ``gallery.npz`` of each.
    path : Path
        The PNG to write.

    Returns
    -------
    Path or None
        None where no gallery holds points.
    """
    clouds: dict[str, np.ndarray] = {}
    for label, file in galleries.items():
        with np.load(file) as arrays:
            if "pushed" in arrays:
                source, target, clouds[label] = (
                    _planar(arrays[name]) for name in ("source", "target", "pushed")
                )
    if not clouds:
        return None
    plots = pyplot()
    known = np.concatenate([source, target])
    middle, reach = (known.max(0) + known.min(0)) / 2, float(np.ptp(known, axis=0).max())
    half = (0.5 + MARGIN) * (reach or 1.0)
    panels = [("source", source, "#1b6ca8"), ("target", target, "#555555")]
    panels += [(label, cloud, "#c2410c") for label, cloud in clouds.items()]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, axes = plots.subplots(rows, columns, figsize=(2.6 * columns, 2.9 * rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (label, cloud, colour) in zip(axes.flat, panels, strict=False):
        if label in clouds:
            axis.scatter(*target.T, s=3, c="#cccccc", linewidths=0)
        axis.scatter(*cloud.T, s=2, c=colour, alpha=0.6, linewidths=0)
        outside = int((np.abs(cloud - middle) > half).any(1).sum())
        title = textwrap.fill(
            label.replace(",", ", ").replace("[", " ["), 30, break_on_hyphens=False
        )
        axis.set_title(title + (f"\n{outside} outside" if outside else ""), fontsize=8)
        axis.set_xlim(middle[0] - half, middle[0] + half)
        axis.set_ylim(middle[1] - half, middle[1] + half)
        axis.set_aspect("equal")
        axis.tick_params(labelsize=6, length=2)
    figure.tight_layout(pad=0.6, h_pad=1.5)
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return path


def _planar(points: np.ndarray) -> np.ndarray:
    """Return points (n, 2); a single coordinate is drawn along the horizontal."""
    return points if points.shape[1] == 2 else np.pad(points, ((0, 0), (0, 1)))
