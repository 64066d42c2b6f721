"""One picture of a whole run: for a few pairs of test images, the path of every method."""

from __future__ import annotations

from pathlib import Path

import numpy as np


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
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    strips = {}
    for label, file in galleries.items():
        with np.load(file) as arrays:
            if "paths" in arrays:
                strips[label] = arrays["paths"][:pairs]
    if not strips:
        return None
    count = min(len(paths) for paths in strips.values())
    figure, axes = pyplot.subplots(
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
    pyplot.close(figure)
    return path
