r"""Solutions of weak optimal transport: closed form for Gaussians, by POT for samples.

The cost is that of `otbench.ot.neural.costs`, C_{2,gamma}. The optimal plan is not unique, but its
barycentric map, its mean conditional variance and its cost are (Gozlan & Juillet 2020;
Backhoff-Veraguas, Beiglböck & Pammer 2019).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otbench.files import whole
from otbench.ot.discrete.pot import import_pot

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

ITERATIONS = 10_000_000
"""Largest number of iterations of POT's network simplex; some thousands are needed."""


@dataclass(frozen=True)
class WeakAnswer:
    """The properties common to all optimal plans of a weak problem.

    Attributes
    ----------
    barycentric : callable
        The barycentric map, points (m, d) to (m, d), float64.
    conditional_variance : float
        Mean over the source of the total variance of the conditional law of a point's target.
    cost : float
    """

    barycentric: Callable[[Array], Array]
    conditional_variance: float
    cost: float


def gaussian_answer(
    mean: Array, axes: Array, spread: Array, to_mean: Array, to_spread: Array, gamma: float
) -> WeakAnswer:
    r"""Solve the gamma-weak problem between Gaussians with the same principal axes.

    With standard deviations sigma_i and s_i along the axes and t_i = min(s_i, sigma_i / gamma), the
    barycentric map scales axis i by t_i / sigma_i, the conditional variance is sum s_i^2 - t_i^2,
    the cost is half of sum (sigma_i - t_i)^2 + (1 - gamma)(s_i^2 - t_i^2) plus half the squared
    distance of the means. If gamma is at most the smallest sigma_i / s_i, the plan is a map.

    Parameters
    ----------
    mean, to_mean : array, shape (d,)
    axes : array, shape (d, d)
        Orthonormal columns.
    spread, to_spread : array, shape (d,)
        sigma and s, > 0.
    gamma : float
        >= 0.
    """
    kept = to_spread if gamma == 0 else np.minimum(to_spread, spread / gamma)
    matrix = (axes * (kept / spread)) @ axes.T

    def barycentric(x: Array) -> Array:
        moved: Array = (np.asarray(x, np.float64) - mean) @ matrix + to_mean
        return moved

    lost = float((to_spread**2 - kept**2).sum())
    apart = float(((mean - to_mean) ** 2).sum() + ((spread - kept) ** 2).sum())
    return WeakAnswer(barycentric, lost, (apart + (1 - gamma) * lost) / 2)


def weak_plan(x: Array, y: Array, gamma: float) -> Array:
    r"""Return an optimal plan between two samples with equal weights.

    Up to terms of the two marginals and a factor, C_{2,gamma} is the 1-weak cost from x / gamma:
    it integrates to a constant minus :math:`E\langle x, m\rangle + (\gamma/2) E\|m\|^2`. So POT's
    conditional gradient method solves every gamma > 0; gamma = 0 gives the exact linear plan. POT
    stops after 200 iterations, about one percent above the optimum at most.

    Parameters
    ----------
    x, y : array, shape (n, d) and (m, d)
    gamma : float
        >= 0.

    Returns
    -------
    array, shape (n, m)
        Its rows sum to 1 / n.
    """
    if gamma < 0:
        raise ValueError(f"gamma must not be negative, got {gamma:g}")
    pot = import_pot()
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if gamma == 0:
        plan: Array = pot.emd([], [], pot.dist(x, y), numItermax=ITERATIONS)
    else:
        plan = pot.weak_optimal_transport(x / gamma, y, numItermaxEmd=ITERATIONS)
    return plan


@dataclass(frozen=True)
class DiscreteAnswer:
    """The solution between two samples, at the sampled source points.

    Attributes
    ----------
    images : array, shape (n, d)
        The barycentric projection of the plan.
    variances : array, shape (n,)
        Total variance of the conditional law of each point's target.
    cost : float
        C_{2,gamma}, a mean over the points.
    """

    images: Array
    variances: Array
    cost: float


def plan_answer(plan: Array, x: Array, y: Array, gamma: float) -> DiscreteAnswer:
    """Compute barycentric projection, conditional variances and cost from a plan (n, m)."""
    rows = plan / plan.sum(axis=1, keepdims=True)
    images = rows @ y
    variances = np.maximum(rows @ (y**2).sum(axis=1) - (images**2).sum(axis=1), 0.0)
    costs = 0.5 * ((x - images) ** 2).sum(axis=1) + 0.5 * (1 - gamma) * variances
    return DiscreteAnswer(images, variances, float(costs.mean()))


def discrete_answer(x: Array, y: Array, gamma: float, cache: Path | None = None) -> DiscreteAnswer:
    """Solve between two samples, or read the solution if it was saved before.

    Parameters
    ----------
    x, y : array, shape (n, d) and (m, d)
    gamma : float
    cache : Path, optional
        A ``.npz`` file, whose name must identify samples and gamma. It is written whole or not at
        all. If its folder cannot be written to, the solution is not saved.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if cache is not None and cache.is_file() and (kept := _read_kept(cache)) is not None:
        return kept
    found = plan_answer(weak_plan(x, y, gamma), x, y, gamma)
    if cache is not None:
        with suppress(OSError):
            _keep(found, cache)
    return found


def _read_kept(cache: Path) -> DiscreteAnswer | None:
    """Return a solution that was saved, or None if the file does not hold one."""
    try:
        # NumPy does not close a file that it cannot read.
        with cache.open("rb") as file, np.load(file) as kept:
            return DiscreteAnswer(kept["images"], kept["variances"], float(kept["cost"]))
    except Exception as error:  # noqa: BLE001 - NumPy raises many kinds on a broken file
        log.warning("%s holds no solution and is replaced: %s", cache, error)
        return None


def _keep(found: DiscreteAnswer, cache: Path) -> None:
    with whole(cache) as temporary:
        np.savez(
            temporary, images=found.images, variances=found.variances, cost=np.array(found.cost)
        )
