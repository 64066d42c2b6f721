"""Gray images as densities in the plane: two drawn by formulas, or any two files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otbench.errors import DataError

Brightness = NDArray[np.float64]

SCALE = 10.0
"""Side of the square, with one corner at 0, that an image fills (Amos 2023, release)."""

SIDE = 64
"""Pixels along a side of the drawn images."""


def image_law(brightness: Brightness) -> Callable[[Any, Any, Any], Any]:
    """Return the distribution whose density is the image's brightness, constant over each pixel.

    This is a law of `planar_laws`: one uniform number chooses the pixel by inverting the cumulative
    brightness, row by row; two more choose the position in it. x points right and y points up.

    Parameters
    ----------
    brightness : array, shape (h, w)
        Non-negative; the first row is the top one. The longer side fills `SCALE`.

    Raises
    ------
    ValueError
        If a value is negative or not finite, or if all are zero.
    """
    if not np.isfinite(brightness).all() or brightness.min() < 0 or not brightness.sum() > 0:
        raise ValueError("brightness must be finite and >= 0, and > 0 somewhere")
    height, width = brightness.shape
    filled = np.cumsum(brightness) / brightness.sum()
    pixel = SCALE / max(height, width)

    def law(xp: Any, u: Any, e: Any) -> Any:
        rising = xp.asarray(filled, dtype=xp.float32)
        chosen = xp.searchsorted(rising, u[:, 0], side="right")
        # Rounded to float32, a number close to 1 may lie beyond the last pixel with mass.
        chosen = xp.minimum(chosen, xp.searchsorted(rising, rising[-1], side="left"))
        row, column = (n.astype(xp.float32) for n in (chosen // width, chosen % width))
        return pixel * xp.stack([column + u[:, 1], height - row - u[:, 2]], axis=1)

    return law


def _polar_grid() -> tuple[Brightness, Brightness]:
    """Return the radius and angle of pixel centres; the radius is 1 at the middle of a side."""
    middle = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = middle[None, :], -middle[:, None]
    return np.hypot(x, y), np.arctan2(y, x)


def _inside(distance: Brightness) -> Brightness:
    """Return 1 for negative and 0 for positive signed distances, with a ramp of two pixels."""
    return np.clip(0.5 - distance * SIDE / 4, 0, 1)


def flower() -> Brightness:
    """Draw a flower with five petals, brightest at the centre, shape (64, 64) in [0, 1]."""
    radius, angle = _polar_grid()
    rim = 0.58 + 0.3 * np.sin(5 * angle)
    return _inside(radius - rim) * (1 - 0.7 * radius)


def disc_in_ring() -> Brightness:
    """Draw a disc in a ring that is brightest at the bottom, shape (64, 64) in [0, 1]."""
    radius, angle = _polar_grid()
    ring = _inside(np.abs(radius - 0.75) - 0.15) * (0.6 - 0.4 * np.sin(angle))
    return np.maximum(ring, 0.8 * _inside(radius - 0.25))


def read_brightness(file: str, side: int) -> Brightness:
    """Read a file as gray, cropped to its central square and resized, shape (side, side).

    Raises
    ------
    DataError
        If the file is not a readable image, or if it is entirely black.
    """
    from otbench_datasets.images.pictures import read_picture

    image = read_picture(Path(file).expanduser(), side, gray=True)
    brightness = image[0].double().numpy()
    if not brightness.sum() > 0:
        raise DataError(f"{file} is entirely black, so no points can be drawn from it")
    return np.asarray(brightness)
