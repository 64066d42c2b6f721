"""Antialiased drawing on the unit square, with x to the right and y down, both from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Mask = NDArray[np.bool_]
Field = NDArray[np.float64]
Point = tuple[float, float]

FINE = 512  # least number of samples along a side, distributed evenly over the pixels


def disc_coverage(centres: Tensor, radius: float, side: int) -> Tensor:
    r"""Draw one disc per image; the brightness of a pixel is its exactly computed covered fraction.

    The area of the disc to the upper left of a point has a closed form, and the area in a pixel
    follows from those of its four corners. The mass is exactly :math:`\pi r^2` at every position of
    the disc.

    Parameters
    ----------
    centres : Tensor, shape (..., 2)
        x and y in the unit square; the disc must lie within it.
    radius : float
        Radius as a fraction of the side.
    side : int
        Pixels.

    Returns
    -------
    Tensor, shape (..., 1, side, side)
        float32 in [0, 1].
    """
    r = radius * side
    edges = torch.arange(side + 1, dtype=torch.float64, device=centres.device)
    x, y = ((edges - side * centres[..., k, None].double()).clamp(-r, r) for k in (0, 1))
    x, y = x.unsqueeze(-2), y.unsqueeze(-1)

    def half_disc(u: Tensor) -> Tensor:
        """Return the integral of the half chord from 0 to u."""
        return (u * (r * r - u * u).clamp(min=0).sqrt() + r * r * (u / r).asin()) / 2

    chord = (r * r - y * y).clamp(min=0).sqrt()
    within = torch.minimum(torch.maximum(x, -chord), chord)
    inner = half_disc(within) + half_disc(chord)
    whole = 2 * half_disc(x) + math.pi * r * r / 2
    area = torch.where(y >= 0, whole - inner, inner) + y * (within + chord)
    pixels = area.diff(dim=-1).diff(dim=-2)
    return pixels.clamp(0, 1).float().unsqueeze(-3)


class Canvas:
    """A grid of fine samples, on which shapes are masks that ``|``, ``&`` and ``~`` combine.

    Attributes
    ----------
    x, y : ndarray, shape (1, n) and (n, 1)
        Coordinates of the samples in the unit square.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self.samples = max(4, math.ceil(FINE / side))
        fine = side * self.samples
        axis = (np.arange(fine) + 0.5) / fine
        self.x, self.y = axis[None], axis[:, None]

    def ellipse(self, x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Mask:
        """Return the mask of an ellipse centred at (x, y), rotated clockwise by some degrees."""
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        u, v = self.x - x, self.y - y
        return ((c * u + s * v) / rx) ** 2 + ((c * v - s * u) / ry) ** 2 <= 1

    def disc(self, x: float, y: float, r: float) -> Mask:
        """Return the mask of a disc centred at (x, y)."""
        return self.ellipse(x, y, r, r)

    def box(self, left: float, top: float, right: float, bottom: float, r: float = 0.0) -> Mask:
        """Return the mask of a rectangle with corners rounded by radius r."""
        u = np.abs(self.x - (left + right) / 2) - (right - left) / 2 + r
        v = np.abs(self.y - (top + bottom) / 2) - (bottom - top) / 2 + r
        return np.hypot(u.clip(0), v.clip(0)) + np.minimum(np.maximum(u, v), 0) <= r

    def polygon(self, points: Sequence[Point] | Field) -> Mask:
        """Return the mask of the polygon through points (x, y), by the even-odd rule."""
        fine = self.side * self.samples
        corners = np.asarray(points) * fine - 0.5
        row, column = np.mgrid[:fine, :fine]
        inside = np.zeros((fine, fine), bool)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            rows = (y0 > row) != (y1 > row)
            if y0 != y1:
                inside ^= rows & (column < (x1 - x0) * (row - y0) / (y1 - y0) + x0)
        return inside

    def curve(self, points: Sequence[Point] | Field) -> Mask:
        """Return the mask of the closed Catmull-Rom spline through points (x, y)."""
        return self.polygon(closed_spline(points))

    def stroke(self, points: Sequence[Point], width: float) -> Mask:
        """Return the mask of a smooth open line with round ends through points (x, y)."""
        line = closed_spline([*points, *points[-2:0:-1]])
        mask = np.zeros((len(self.y),) * 2, dtype=bool)
        for start, end in zip(line, np.roll(line, -1, 0), strict=True):
            step = end - start
            low, high = (
                (edge(start, end) + margin) * len(self.y)
                for edge, margin in ((np.minimum, -width), (np.maximum, width))
            )
            across, down = (
                slice(max(0, int(a)), max(0, int(b))) for a, b in zip(low, high, strict=True)
            )
            u, v = self.x[:, across] - start[0], self.y[down] - start[1]
            along = ((u * step[0] + v * step[1]) / max(float(step @ step), 1e-12)).clip(0, 1)
            mask[down, across] |= (u - along * step[0]) ** 2 + (v - along * step[1]) ** 2 <= (
                width / 2
            ) ** 2
        return mask

    def average(self, fine: Field | Mask) -> Tensor:
        """Average the samples of each pixel, (fine, fine, ...) to float32 (side, side, ...)."""
        shape = (self.side, self.samples, self.side, self.samples, *fine.shape[2:])
        return torch.from_numpy(fine.reshape(shape).mean((1, 3), dtype=np.float64)).float()

    def gray(self, mask: Mask) -> Tensor:
        """Return a white shape on black, shape (1, side, side), float32 in [0, 1]."""
        return self.average(mask).unsqueeze(0)


def closed_spline(points: Sequence[Point] | Field, steps: int = 12) -> Field:
    """Return the closed Catmull-Rom spline through points (n, 2), sampled at (n * steps, 2)."""
    p = np.asarray(points, dtype=np.float64)
    before, after, beyond = (np.roll(p, shift, 0) for shift in (1, -1, -2))
    t = (np.arange(steps) / steps)[None, :, None]
    p, before, after, beyond = (q[:, None] for q in (p, before, after, beyond))
    curve = (
        2 * p
        + (after - before) * t
        + (2 * before - 5 * p + 4 * after - beyond) * t**2
        + (3 * (p - after) + beyond - before) * t**3
    ) / 2
    return curve.reshape(-1, 2)


def heart(canvas: Canvas) -> Mask:
    """Draw a heart, using the well-known curve of four cosines."""
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return canvas.polygon(np.stack([0.5 + x / 42, 0.47 + y / 42], 1))


def cross(canvas: Canvas, x: float = 0.5, y: float = 0.5, reach: float = 0.36) -> Mask:
    """Draw an upright cross with four equal arms, as on a first-aid box."""
    arm = reach / 3
    return canvas.box(x - reach, y - arm, x + reach, y + arm) | canvas.box(
        x - arm, y - reach, x + arm, y + reach
    )


def ring(canvas: Canvas, x: float, y: float, outer: float, inner: float) -> Mask:
    """Draw a disc with a round hole."""
    return canvas.disc(x, y, outer) & ~canvas.disc(x, y, inner)


def tooth(canvas: Canvas) -> Mask:
    """Draw a molar: a crown with two cusps above two roots."""
    right = [
        (0.5, 0.19), (0.59, 0.145), (0.69, 0.13), (0.79, 0.18), (0.83, 0.29), (0.81, 0.40),
        (0.765, 0.51), (0.74, 0.63), (0.715, 0.76), (0.675, 0.86), (0.63, 0.87), (0.605, 0.78),
        (0.585, 0.68), (0.55, 0.61),
    ]  # fmt: skip
    left = [(1 - x, y) for x, y in right[:0:-1]]
    return canvas.curve([*right, (0.5, 0.585), *left])


def duck(canvas: Canvas) -> Mask:
    """Draw a toy duck that swims to the left, with a hole as its eye."""
    body = canvas.curve(
        [
            (0.30, 0.50), (0.20, 0.60), (0.19, 0.72), (0.28, 0.83), (0.45, 0.87), (0.63, 0.85),
            (0.78, 0.76), (0.87, 0.62), (0.91, 0.45), (0.80, 0.53), (0.66, 0.57), (0.52, 0.55),
            (0.45, 0.48),
        ]
    )  # fmt: skip
    head = canvas.disc(0.36, 0.32, 0.175)
    neck = canvas.polygon([(0.24, 0.42), (0.47, 0.42), (0.50, 0.58), (0.26, 0.60)])
    bill = canvas.curve([(0.22, 0.28), (0.12, 0.31), (0.05, 0.37), (0.12, 0.405), (0.24, 0.40)])
    return (body | head | neck | bill) & ~canvas.disc(0.315, 0.27, 0.033)
