"""Pictures of a whole run: the paths or translations of all methods. See `maps` for maps."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from otbench.files import whole

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""


def pyplot() -> Any:
    """Import matplotlib's pyplot on first use, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def stored(file: Path, name: str) -> np.ndarray | None:
    """Return an array from a ``gallery.npz``, or None if the file does not hold it."""
    # NumPy does not close a file that it cannot read.
    with file.open("rb") as opened, np.load(opened) as arrays:
        return arrays[name] if name in arrays.files else None


def folded(title: str) -> str:
    """Break a label of methods and parameters into lines of 30 characters."""
    lines = title.replace(",", ", ").replace("[", " [").split("\n")
    return "\n".join(textwrap.fill(line, 30, break_on_hyphens=False) for line in lines)


def interpolation_sheet(galleries: dict[str, Path], path: Path, pairs: int = 3) -> Path | None:
    """Draw the paths of all methods one below the other, for the same pairs.

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
        None if no gallery holds paths.
    """
    found = {label: stored(file, "paths") for label, file in galleries.items()}
    strips = {label: paths[:pairs] for label, paths in found.items() if paths is not None}
    return _sheet(strips, path, 5.2, 0.55)


def translation_sheet(galleries: dict[str, Path], path: Path) -> Path | None:
    """Draw images of the source, their translations by each method, and images of the target.

    Parameters
    ----------
    galleries : dict of str to Path
        Method labels, and the ``gallery.npz`` of each.
    path : Path
        The PNG to write.

    Returns
    -------
    Path or None
        None if no gallery holds translations.
    """
    found = {label: stored(file, "translated") for label, file in galleries.items()}
    made = {label: images[None] for label, images in found.items() if images is not None}
    if not made:
        return None
    first = galleries[next(iter(made))]
    source, target = (np.asarray(stored(first, name))[None] for name in ("images", "targets"))
    return _sheet({"source": source, **made, "target": target}, path, 9.0, 0.75)


def _sheet(strips: dict[str, np.ndarray], path: Path, width: float, height: float) -> Path | None:
    """Draw strips (n, k, c, h, w) one below the other, n side by side; sizes are in inches."""
    if not strips:
        return None
    plots = pyplot()
    count = min(len(images) for images in strips.values())
    figure, axes = plots.subplots(
        len(strips), count, figsize=(width * count, height * len(strips) + 0.3), squeeze=False
    )
    for row, (label, stacks) in zip(axes, strips.items(), strict=True):
        for axis, frames in zip(row, stacks, strict=False):
            strip = np.concatenate(list(frames), axis=2).transpose(1, 2, 0)
            axis.imshow(strip.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        size = 9 if len(label) <= 30 else 6
        row[0].set_ylabel(folded(label), rotation=0, ha="right", va="center", fontsize=size)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.03, hspace=0.08)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
    plots.close(figure)
    return path
