r"""Strong and weak transport costs, estimated without bias from a few draws of the map.

A weak cost C(x, mu) depends on the whole law mu of the points that x is carried to. Everywhere in
the suite the convention is the following, where m and Var(mu) are the mean and the total variance
(trace of the covariance) of mu, with sums (not means) over coordinates:

.. math::
    C_{2,\gamma}(x, \mu) = \tfrac12 \int \|x - y\|^2 d\mu(y) - \tfrac\gamma2 \mathrm{Var}(\mu)
                         = \tfrac12 \|x - m\|^2 + \tfrac{1 - \gamma}2 \mathrm{Var}(\mu).

gamma = 0 is the strong quadratic cost, gamma = 1 the purely barycentric one. The authors' images
notebooks compute 2 / d times this; their seminar's gamma is twice this one. The formulas are plain
arithmetic and take arrays of NumPy and of JAX alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

LEAST_DISTANCE = 1e-6
"""Squared and added under a square root, so that equal points have a gradient."""


def weak_quadratic(x: Any, y: Any, gamma: Any) -> Any:
    r"""Estimate the gamma-weak quadratic cost of every point.

    .. math:: \tfrac12 \|x - \bar y\|^2 + \tfrac12 (1 - \gamma - 1/k) s^2,

    where s^2 is the variance of the k draws with denominator k - 1, summed over coordinates. Its
    expectation is C_{2,gamma}, since E|x - mean|^2 = |x - m|^2 + Var / k.

    Parameters
    ----------
    x : array, shape (m, d)
    y : array, shape (m, k, d)
        Draws of the map at each point; k may be 1 if gamma is 0.
    gamma : float

    Returns
    -------
    array, shape (m,)
    """
    k = y.shape[1]
    mean = y.mean(1)
    cost = 0.5 * ((x - mean) ** 2).sum(-1)
    if k == 1:
        return cost
    return cost + 0.5 * (1 - gamma - 1 / k) * conditional_variance(y)


def conditional_variance(y: Any) -> Any:
    """Return the unbiased total variance of draws (m, k, d), k at least 2, shape (m,)."""
    centred = y - y.mean(1, keepdims=True)
    return (centred**2).sum((1, 2)) / (y.shape[1] - 1)


def strong_quadratic(x: Any, y: Any, gamma: Any = 0.0) -> Any:
    """Return half the mean squared distance to the draws (m, k, d), shape (m,)."""
    return 0.5 * ((x[:, None] - y) ** 2).sum(-1).mean(1)


def strong_l1(x: Any, y: Any, gamma: Any = 0.0) -> Any:
    """Return the mean l1 distance, sum_i |x_i - y_i|, to the draws (m, k, d), shape (m,)."""
    return abs(x[:, None] - y).sum(-1).mean(1)


def weak_energy(x: Any, y: Any, gamma: Any) -> Any:
    r"""Estimate the weak cost of the distance kernel (Korotin et al. 2023, kernel NOT).

    .. math:: \tfrac12 E\|x - Y\| - \tfrac\gamma4 E\|Y - Y'\|, \qquad Y, Y' \sim \mu

    independent, norms Euclidean: the weak quadratic cost in the feature space of the kernel
    (|x| + |y| - |x - y|) / 2. The second mean is over pairs of different draws, so that the
    estimate is unbiased.

    Parameters
    ----------
    x, y, gamma
        As for `weak_quadratic`.
    """
    cost = 0.5 * _length(x[:, None] - y).mean(1)
    k = y.shape[1]
    if k == 1:
        return cost
    first, second = np.triu_indices(k, 1)
    return cost - 0.25 * gamma * _length(y[:, first] - y[:, second]).mean(1)


def _length(vectors: Any) -> Any:
    return ((vectors**2).sum(-1) + LEAST_DISTANCE**2) ** 0.5


COSTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "weak": weak_quadratic,
    "l2": strong_quadratic,
    "l1": strong_l1,
    "kernel": weak_energy,
}
"""Costs by name; each maps points (m, d), draws (m, k, d) and gamma to costs (m,)."""

WEAK = ("weak", "kernel")
"""Costs that depend on gamma."""


def check_cost(cost: str, gamma: float, draws: int, bounded: bool) -> None:
    """Check that the problem with this cost has a solution, and its cost an estimate.

    Parameters
    ----------
    cost : str
        One of `COSTS`.
    gamma : float
    draws : int
        Number of draws per point.
    bounded : bool
        Whether the map's output is bounded.

    Raises
    ------
    ValueError
        If the check fails; the message says what would be valid.
    """
    if cost not in COSTS:
        raise ValueError(f"cost must be one of {', '.join(COSTS)}, got {cost!r}")
    if draws < 1:
        raise ValueError(f"there must be at least 1 draw of noise per point, got {draws}")
    if gamma < 0:
        raise ValueError(f"gamma must not be negative, got {gamma:g}")
    if cost not in WEAK:
        return
    if gamma > 0 and draws < 2:
        raise ValueError(
            f"gamma {gamma:g} needs a conditional variance: at least 2 draws of noise per point, "
            f"got {draws}"
        )
    if gamma > 1 and not bounded:
        raise ValueError(
            f"with gamma {gamma:g} above 1 the cost of spreading far is negative without bound: "
            "use gamma at most 1, or bound the map's output"
        )
