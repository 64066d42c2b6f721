r"""The optimal map between two Gaussian laws, and coordinates in which it is the identity.

From N(m0, S0) to N(m1, S1) the optimal map for the squared distance is x -> m1 + A (x - m0),

.. math:: A = S_0^{-1/2} (S_0^{1/2} S_1 S_0^{1/2})^{1/2} S_0^{-1/2},

and its cost is the squared Bures-Wasserstein distance (Dowson & Landau 1982; Olkin & Pukelsheim
1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EIGENVALUE_FLOOR = 1e-6
"""Floor on the eigenvalues of a covariance that is inverted, as a share of the largest one.
Directions in which the law is (nearly) degenerate are stretched a thousand times at most."""


def floored(covariance: Array, floor: float = EIGENVALUE_FLOOR) -> tuple[Array, Array]:
    """Return floored eigenvalues (d,), largest first, and eigenvectors in columns.

    Raises
    ------
    ValueError
        If the matrix is not square, symmetric and finite, or is zero.
    """
    covariance = np.asarray(covariance, np.float64)
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise ValueError(f"a covariance is a square matrix, got shape {covariance.shape}")
    if not np.isfinite(covariance).all():
        raise ValueError("the covariance has entries that are not finite")
    largest = np.abs(covariance).max()
    if not np.allclose(covariance, covariance.T, atol=1e-6 * largest):
        raise ValueError("a covariance is symmetric, this matrix is not")
    values, vectors = np.linalg.eigh(covariance)
    if values[-1] <= 0:
        raise ValueError("the covariance is zero: the law is a single point")
    return np.maximum(values[::-1], floor * values[-1]), vectors[:, ::-1]


def power(covariance: Array, exponent: float, floor: float = EIGENVALUE_FLOOR) -> Array:
    """Raise a covariance, its eigenvalues floored, to a power; symmetric, shape (d, d)."""
    values, vectors = floored(covariance, floor)
    result: Array = (vectors * values**exponent) @ vectors.T
    return result


def bures_map(
    mean0: Array,
    covariance0: Array,
    mean1: Array,
    covariance1: Array,
    floor: float = EIGENVALUE_FLOOR,
) -> tuple[Array, Array]:
    """Return the optimal map between two Gaussian laws, x -> matrix @ x + offset.

    Parameters
    ----------
    mean0, mean1 : Array, shape (d,)
    covariance0, covariance1 : Array, shape (d, d)
    floor : float
        Least eigenvalue of the source's covariance, as a share of its largest.

    Returns
    -------
    matrix : Array, shape (d, d)
        Symmetric, positive semi-definite.
    offset : Array, shape (d,)
    """
    root, inverse = power(covariance0, 0.5, floor), power(covariance0, -0.5, floor)
    middle = root @ covariance1 @ root
    matrix = inverse @ power((middle + middle.T) / 2, 0.5, floor=0.0) @ inverse
    return matrix, mean1 - matrix @ mean0


def bures_wasserstein(mean0: Array, covariance0: Array, mean1: Array, covariance1: Array) -> float:
    """Return the squared Wasserstein-2 distance between two Gaussian laws."""
    root = power(covariance0, 0.5, floor=0.0)
    middle = root @ covariance1 @ root
    cross = np.trace(power((middle + middle.T) / 2, 0.5, floor=0.0))
    shift = np.sum((mean0 - mean1) ** 2)
    return float(shift + np.trace(covariance0) + np.trace(covariance1) - 2 * cross)


@dataclass(frozen=True)
class WhitenedCoordinates:
    r"""Linear coordinates of source and target in which the Bures map to N(0, I) is the identity.

    With S = V diag(s) V^T the source's covariance, u = s^{-1/4} V^T (x - m) for the source and
    v = s^{1/4} V^T y for the target. Since <u, v> = <x - m, y>, a function that is convex in u is
    convex in x, gradients carry over, and an optimal map in one pair of coordinates is optimal in
    the other. Both laws get the covariance diag(s^{1/2}): neither side is stretched by more than
    the fourth root of the condition number, which preconditions training and conjugation.

    Attributes
    ----------
    mean : Array, shape (d,)
        Mean of the source.
    axes : Array, shape (d, d)
        Principal axes of the source in columns, largest variance first.
    spread : Array, shape (d,)
        s^{1/4}, the standard deviation of either side along each axis.
    """

    mean: Array
    axes: Array
    spread: Array

    @classmethod
    def of(cls, points: Array, floor: float = EIGENVALUE_FLOOR) -> Self:
        """Estimate mean and covariance from points, shape (n, d), at least two.

        Raises
        ------
        ValueError
            If the points are too few, not finite, or all the same.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or len(points) < 2:
            raise ValueError(f"points must have shape (n, d) with n >= 2, got {points.shape}")
        covariance = np.atleast_2d(np.cov(points.T))
        values, axes = floored(covariance, floor)
        return cls(points.mean(axis=0), axes, values**0.25)
