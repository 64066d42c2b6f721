"""Distributions in the plane, each given by one formula for both NumPy and JAX.

A law maps uniform numbers u in [0, 1), shape (n, 3), and standard normal numbers e, shape (n, 2),
to points (n, 2). The array library is an argument, so PyTorch methods and compiled JAX steps train
on the same distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from otbench_datasets.point_pairs.planar_images import disc_in_ring, flower, image_law

Law = Callable[[Any, Any, Any], Any]
"""Maps an array library (NumPy or JAX's), u and e to points."""

UNIFORMS, NORMALS = 3, 2

SMALL = 0.25
"""Standard deviation of the components of mixtures (release of Amos 2023)."""

WHITENING_SEED, WHITENING_SAMPLE = 20_220_112, 2**18
"""Seed and size of the sample for the moments of a whitened law; Korotin et al. 2022 use 1,000."""

MIXTURE_SCALE = 5.0
RING_RADII = (3.0, 2.25, 1.5, 0.75)


def _choice(xp: Any, u: Any, n: int) -> Any:
    """Convert uniform numbers to indices from 0 to n - 1."""
    return xp.minimum((u * n).astype(xp.int32), n - 1)


def mixture(centers: Sequence[tuple[float, float]]) -> Law:
    """Return equally likely Gaussians at centres scaled by `MIXTURE_SCALE`."""

    def law(xp: Any, u: Any, e: Any) -> Any:
        places = xp.asarray(centers, dtype=xp.float32) * MIXTURE_SCALE
        return places[_choice(xp, u[:, 0], len(centers))] + SMALL * e

    return law


EIGHT = [(math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)) for k in range(8)]
CORNERS = [(0.0, 0.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)]
AXES = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]


def normal(xp: Any, u: Any, e: Any) -> Any:
    """Return the standard normal law."""
    return e


def _polar(xp: Any, radius: Any, angle: Any) -> Any:
    return xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1)


def circle(radius: float, noise: float = 0.01) -> Law:
    """Return a circle around the origin."""

    def law(xp: Any, u: Any, e: Any) -> Any:
        return _polar(xp, radius, 2 * math.pi * u[:, 0]) + noise * e

    return law


def rings(xp: Any, u: Any, e: Any) -> Any:
    """Return four equally likely circles with noise 0.08."""
    radii = xp.asarray(RING_RADII, dtype=xp.float32)[_choice(xp, u[:, 0], len(RING_RADII))]
    return _polar(xp, radii, 2 * math.pi * u[:, 1]) + 0.08 * e


def moon(upper: bool, noise: float = 0.05) -> Law:
    """Return one half circle of scikit-learn's two moons."""

    def law(xp: Any, u: Any, e: Any) -> Any:
        arc = _polar(xp, 1.0, math.pi * u[:, 0])
        shift = xp.asarray([1.0, 0.5], dtype=xp.float32)
        return (arc if upper else shift - arc) + noise * e

    return law


def moons(xp: Any, u: Any, e: Any) -> Any:
    """Return both half circles, equally likely."""
    upper = u[:, 1:2] < 0.5
    return xp.where(upper, moon(True)(xp, u, e), moon(False)(xp, u, e))


def s_curve(xp: Any, u: Any, e: Any) -> Any:
    """Return scikit-learn's S curve without depth, times 5, with noise 0.25."""
    t = 3 * math.pi * (u[:, 0] - 0.5)
    curve = xp.stack([xp.sign(t) * (xp.cos(t) - 1), xp.sin(t)], axis=1)
    return 5 * curve + 0.25 * e


def swiss_roll(xp: Any, u: Any, e: Any) -> Any:
    """Return scikit-learn's Swiss roll without depth, times 1/2, with noise 0.1."""
    t = 1.5 * math.pi * (1 + 2 * u[:, 0])
    return 0.5 * xp.stack([t * xp.sin(t), t * xp.cos(t)], axis=1) + 0.1 * e


def bent_moon(xp: Any, u: Any, e: Any) -> Any:
    """Return a normal law bent along a parabola (Huang et al. 2021, as in Amos 2023's release)."""
    return xp.stack([0.5 * (e[:, 0] + e[:, 1] ** 2) - 2, e[:, 1]], axis=1)


def checkerboard(xp: Any, u: Any, e: Any) -> Any:
    """Return the eight squares of one colour of a 4x4 checkerboard on [-4, 4]^2."""
    column = xp.floor(4 * u[:, 0])
    row = 2 * _choice(xp, u[:, 1], 2).astype(column.dtype) + column % 2
    return xp.stack([8 * u[:, 0] - 4, 2 * (row + u[:, 2]) - 4], axis=1)


def spirals(xp: Any, u: Any, e: Any) -> Any:
    """Return two spirals of one and a half turns that end at radius pi, with noise 0.1."""
    angle = 3 * math.pi * xp.sqrt(u[:, 0])
    side = xp.where(u[:, 1] < 0.5, 1.0, -1.0)
    return _polar(xp, side * angle / 3, angle) + 0.1 * e


def noisy_swiss_roll(xp: Any, u: Any, e: Any) -> Any:
    """Return scikit-learn's Swiss roll without depth, with noise 0.8 (Korotin et al. 2022)."""
    t = 1.5 * math.pi * (1 + 2 * u[:, 0])
    return xp.stack([t * xp.cos(t), t * xp.sin(t)], axis=1) + 0.8 * e


def wide_eight(xp: Any, u: Any, e: Any) -> Any:
    """Return eight standard normal laws on a circle of radius 12 (Korotin et al. 2022)."""
    return 12 * xp.asarray(EIGHT, dtype=xp.float32)[_choice(xp, u[:, 0], 8)] + e


@cache
def _whitening(law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (2,) of a law and the inverse square root (2, 2) of its covariance."""
    rng = np.random.default_rng(WHITENING_SEED)
    u, e = rng.random((WHITENING_SAMPLE, UNIFORMS)), rng.normal(size=(WHITENING_SAMPLE, NORMALS))
    points = np.asarray(law(np, u, e), np.float64)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    return points.mean(0), (vectors / np.sqrt(values)) @ vectors.T


def whitened(law: Law) -> Law:
    """Return the law shifted and scaled along its principal axes to mean 0 and covariance I.

    Moments are estimated from `WHITENING_SAMPLE` points with a fixed seed, at the first draw.
    """

    def moved(xp: Any, u: Any, e: Any) -> Any:
        mean, matrix = (xp.asarray(a, dtype=xp.float32) for a in _whitening(law))
        return (law(xp, u, e) - mean) @ matrix

    return moved


TASKS: dict[str, tuple[Law, Law]] = {
    "eight": (mixture([(0.0, 0.0)]), mixture(EIGHT)),
    "squares": (mixture(CORNERS), mixture(AXES)),
    "circles": (circle(1.0), circle(0.5)),
    "moon-to-moon": (moon(upper=False), moon(upper=True)),
    "s-curve": (s_curve, normal),
    "swiss": (swiss_roll, normal),
    "bent-moon": (bent_moon, normal),
    "rings": (rings, normal),
    "bent-moon-to-rings": (bent_moon, rings),
    "images": (image_law(flower()), image_law(disc_in_ring())),
    "moons": (normal, moons),
    "gauss-to-swiss": (normal, swiss_roll),
    "checkerboard": (normal, checkerboard),
    "spirals": (normal, spirals),
    "white-moons": (normal, whitened(moons)),
    "white-swiss": (normal, whitened(noisy_swiss_roll)),
    "white-eight": (normal, whitened(wide_eight)),
}
"""Source and target by name: ten tasks of the release of Amos 2023 (the last with images of this
suite), four of this suite, and three of neural optimal transport with whitened targets (Korotin et
al. 2022)."""
