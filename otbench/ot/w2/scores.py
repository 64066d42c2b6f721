"""Scores of a map against the true one (Korotin et al. 2021 and its release)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def _same_shape(*arrays: ArrayLike) -> list[Points]:
    converted = [np.asarray(a, np.float64) for a in arrays]
    shapes = [a.shape for a in converted]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2 or not shapes[0][0]:
        raise ValueError(f"points must all have one shape (m, n) with m >= 1, got {shapes}")
    return converted


def total_variance(points: ArrayLike) -> float:
    """Return the sum of the coordinates' variances (population variance), points (m, n)."""
    (x,) = _same_shape(points)
    return float(x.var(axis=0).sum())


def uvp(moved: ArrayLike, truth: ArrayLike, variance: float | None = None) -> float:
    r"""Return the unexplained variance percentage: 0 is exact, a constant map scores 100.

    .. math:: 100 \, E \|\hat T(x) - T^*(x)\|^2 / \mathrm{Var}(Q)

    Parameters
    ----------
    moved, truth : array, shape (m, n)
        The same points under the map and under the true one.
    variance : float, optional
        Total variance of the target law; by default that of ``truth``.

    Raises
    ------
    ValueError
        If the shapes differ or the variance is not positive.
    """
    a, b = _same_shape(moved, truth)
    variance = total_variance(b) if variance is None else variance
    if not variance > 0:
        raise ValueError(f"the variance must be positive, got {variance}")
    return float(100 * ((a - b) ** 2).sum(axis=1).mean() / variance)


def cosine(points: ArrayLike, moved: ArrayLike, truth: ArrayLike) -> float:
    r"""Return the cosine between the displacements, in [-1, 1]; higher is better, 1 is exact.

    .. math:: E\langle T^*(x) - x, \hat T(x) - x \rangle
              / \sqrt{E \|T^*(x) - x\|^2 \, E \|\hat T(x) - x\|^2}

    Both norms are taken over the points given; the release takes the first over another sample, so
    that its cosine may exceed 1.

    Parameters
    ----------
    points, moved, truth : array, shape (m, n)

    Raises
    ------
    ValueError
        If the shapes differ, or if a map moves nothing and so has no direction.
    """
    x, a, b = _same_shape(points, moved, truth)
    norm = np.sqrt(((a - x) ** 2).sum() * ((b - x) ** 2).sum())
    if not norm > 0:
        raise ValueError("the cosine is not defined for a map that moves no point")
    return float(((a - x) * (b - x)).sum() / norm)


def half_squared_w2(points: ArrayLike, truth: ArrayLike) -> float:
    r"""Return E \|x - T^*(x)\|^2 / 2, half the squared Wasserstein-2 distance."""
    x, b = _same_shape(points, truth)
    return float(0.5 * ((x - b) ** 2).sum(axis=1).mean())


def dual_to_half_squared_w2(dual: float, source: ArrayLike, target: ArrayLike) -> float:
    r"""Convert the dual value in correlation form to a lower bound of half the squared distance.

    .. math:: \tfrac12 E\|X\|^2 + \tfrac12 E\|Y\|^2 - (E f(X) + E f^*(Y))

    Parameters
    ----------
    dual : float
        E f(X) + E f*(Y), at least the greatest correlation E <X, Y>.
    source, target : array, shape (m, n) each
        Samples of the two laws.
    """
    x, y = (np.asarray(a, np.float64) for a in (source, target))
    moments = 0.5 * (x**2).sum(axis=1).mean() + 0.5 * (y**2).sum(axis=1).mean()
    return float(moments - dual)
