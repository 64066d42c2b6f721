"""Gray images as densities in the plane: two drawn by formula, or any two files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otbench.errors import DataError

Brightness = NDArray[np.float64]

SCALE = 10.0
"""Side of the square that an image fills, from 0 (Amos 2023, release)."""

SIDE = 64
"""Pixels along a side of the drawn images."""


def image_law(brightness: Brightness) -> Callable[[Any, Any, Any], Any]:
    """Return the law whose density is the image's brightness, constant over each pixel.

    A law of `planar_laws`: one uniform number chooses the pixel, by the inverse of
    the brightness summed row by row, two the place in it. x points right, y up.

    Parameters
    ----------
    brightness : array, shape (h, w)
        Not negative; the first row is the upper one. The greater side fills `SCALE`.

    Raises
    ------
    ValueError
        If a value is negative or not finite, or all are zero.
    """
    if not np.isfinite(brightness).all() or brightness.min() < 0 or not brightness.sum() > 0:
        raise ValueError("brightness must be finite and >= 0, and > 0 somewhere")
    height, width = brightness.shape
    filled = np.cumsum(brightness) / brightness.sum()
    pixel = SCALE / max(height, width)

    def law(xp: Any, u: Any, e: Any) -> Any:
        rising = xp.asarray(filled, dtype=xp.float32)
        chosen = xp.searchsorted(rising, u[:, 0], side="right")
        # Rounded to float32, a number next to 1 may lie beyond the last pixel that has mass.
        chosen = xp.minimum(chosen, xp.searchsorted(rising, rising[-1], side="left"))
        row, column = (n.astype(xp.float32) for n in (chosen // width, chosen % width))
        return pixel * xp.stack([column + u[:, 1], height - row - u[:, 2]], axis=1)

    return law


def _polar_grid() -> tuple[Brightness, Brightness]:
    """Return radius and angle of the pixels' centres; the radius is 1 at the middle of a side."""
    middle = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = middle[None, :], -middle[:, None]
    return np.hypot(x, y), np.arctan2(y, x)


def _inside(distance: Brightness) -> Brightness:
    """Return 1 where a signed distance is below zero, 0 above, with a slope of two pixels."""
    return np.clip(0.5 - distance * SIDE / 4, 0, 1)


def flower() -> Brightness:
    """Draw a flower of five petals, brightest in the middle, shape (64, 64) in [0, 1]."""
    radius, angle = _polar_grid()
    rim = 0.58 + 0.3 * np.sin(5 * angle)
    return _inside(radius - rim) * (1 - 0.7 * radius)


def disc_in_ring() -> Brightness:
    """Draw a disc within a ring that is brightest at its foot, shape (64, 64) in [0, 1]."""
    radius, angle = _polar_grid()
    ring = _inside(np.abs(radius - 0.75) - 0.15) * (0.6 - 0.4 * np.sin(angle))
    return np.maximum(ring, 0.8 * _inside(radius - 0.25))


def read_brightness(file: str, side: int) -> Brightness:
    """Read a file as gray, cut to the square in its middle and resized, shape (side, side).

    Raises
    ------
    DataError
        If it is no image that can be read, or black all over.
    """
    from otbench_datasets.images.pictures import read_picture

    image = read_picture(Path(file).expanduser(), side, gray=True)
    brightness = image[0].double().numpy()
    if not brightness.sum() > 0:
        raise DataError(f"{file} is black all over: there is nothing to draw points from")
    return np.asarray(brightness)
