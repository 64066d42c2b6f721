r"""Exact barycentres of point masses: the multi-marginal linear programme, by column generation.

.. math:: \min_P \sum_\tau P_\tau c_\tau, \quad
          c_\tau = \sum_k \lambda_k |x_{k, \tau_k} - b_\tau|^2, \quad
          b_\tau = \sum_k \lambda_k x_{k, \tau_k},

over couplings P of m measures; the barycentre has mass :math:`P_\tau` at :math:`b_\tau` (Agueh &
Carlier 2011, proposition 4.2). The tuples :math:`\tau` are too many to list, but a column that
improves a solution with duals u minimises :math:`|b|^2 - \ldots`, a sum over k of minima over the
points of one measure as soon as b is fixed. So b is searched for in the plane, by branch and bound:
with :math:`F(b) = \min_\tau \sum_k (\lambda_k |x_{k, \tau_k} - b|^2 - u_{k, \tau_k})` the best
reduced cost of a tuple whose :math:`b_\tau` lies within r of b is at least :math:`F(b) - r^2`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from otbench.ot.discrete.displacement import Array
from otbench.ot.discrete.pot import import_pot

Tuples = NDArray[np.int64]
ROUNDS = 200
SPACING = 0.5
"""Spacing of the places where a search begins, in pixels."""
STEADINESS = 0.7
"""Weight of the best duals so far in the duals that price the columns (Wentges 1997)."""
BATCH = 4096
"""Number of places whose distances to all points are held in memory at once."""


class MultiMarginal(NamedTuple):
    """An optimal coupling of m measures.

    Attributes
    ----------
    points : ndarray, shape (k, d)
        The barycentre's support.
    mass : ndarray, shape (k,)
    cost : float
        Sum of the weighted squared distances: the barycentre's variance.
    bound : float
        Lower bound on the cost of any coupling; ``cost - bound`` bounds the remaining error.
    """

    points: Array
    mass: Array
    cost: float
    bound: float


def multi_marginal(
    points: list[Array], masses: list[Array], weights: Array, tolerance: float = 1e-6
) -> MultiMarginal:
    """Couple m measures in the plane so that their weighted barycentre is cheapest.

    Parameters
    ----------
    points : list of ndarray, shape (n_k, 2)
    masses : list of ndarray, shape (n_k,)
        Positive, each summing to 1.
    weights : ndarray, shape (m,)
        Positive, summing to 1.
    tolerance : float
        Tolerance of the cost, in squared pixels.

    Raises
    ------
    RuntimeError
        If the programme is not solved within 200 rounds.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csc_array

    offsets = np.cumsum([0, *(len(p) for p in points)])
    right = np.concatenate(masses)
    tuples = _glued(points, masses)
    steady = _pairwise_duals(points, masses, weights)
    bound = float(right @ steady)
    for _ in range(ROUNDS):
        columns = (tuples + offsets[:-1]).ravel()
        starts = np.arange(0, columns.size + 1, len(points))
        matrix = csc_array((np.ones(columns.size), columns, starts), (offsets[-1], len(tuples)))
        places, costs = _barycenters(points, weights, tuples)
        found = linprog(costs, A_eq=matrix, b_eq=right, method="highs-ds")
        if found.x is None:
            raise RuntimeError(f"the linear programme was not solved: {found.message}")
        duals = found.eqlin.marginals
        for share in (STEADINESS, 0.0):
            trial = share * steady + (1 - share) * duals
            split = np.split(trial, offsets[1:-1])
            better, least = _improving(points, weights, split, tolerance / 2)
            if right @ trial + least > bound:
                bound, steady = float(right @ trial + least), trial
            if found.fun - bound <= tolerance:
                kept = found.x > 0
                return MultiMarginal(places[kept], found.x[kept], found.fun, bound)
            grown = np.unique(np.concatenate([tuples, better]), axis=0)
            if len(grown) > len(tuples):
                break
        tuples = grown
    raise RuntimeError(f"the barycentre's linear programme is not solved after {ROUNDS} rounds")


def _pairwise_duals(points: list[Array], masses: list[Array], weights: Array) -> Array:
    """Return feasible duals: a tuple's cost is the sum over its pairs of weighted distances.

    They are optimal if the plans of all pairs are consistent, as they are for translates.
    """
    duals = [np.zeros(len(mass)) for mass in masses]
    for k in range(len(points)):
        for j in range(k):
            costs = ((points[k][:, None] - points[j][None]) ** 2).sum(2)
            _, log = import_pot().lp.emd(
                masses[k], masses[j], costs, check_marginals=False, log=True
            )
            v = (costs - log["u"][:, None]).min(0)
            duals[k] += weights[k] * weights[j] * log["u"]
            duals[j] += weights[k] * weights[j] * v
    return np.concatenate(duals)


def _barycenters(points: list[Array], weights: Array, tuples: Tuples) -> tuple[Array, Array]:
    """Return each tuple's barycentre and its cost."""
    chosen = np.stack([p[tuples[:, k]] for k, p in enumerate(points)], 1)
    places = weights @ chosen
    return places, ((chosen - places[:, None]) ** 2).sum(2) @ weights


def _glued(points: list[Array], masses: list[Array]) -> Tuples:
    """Return tuples that admit a coupling: exact plans from the first measure, side by side.

    Each plan cuts every point of the first measure into shares, laid out one after another. If the
    cuts of all plans are combined, each piece goes to exactly one point of every measure.
    """
    ends, targets = [], []
    for x, mass in zip(points, masses, strict=True):
        costs = ((points[0][:, None] - x[None]) ** 2).sum(2)
        plan = import_pot().lp.emd(masses[0], mass, costs, check_marginals=False)
        i, j = plan.nonzero()  # in the order of the first measure's points
        ends.append(np.cumsum(plan[i, j]) / plan.sum())
        targets.append(j)
    cuts = np.unique(np.concatenate([[0.0], *ends]))
    middles = (cuts[1:] + cuts[:-1]) / 2
    found = [
        target[np.minimum(np.searchsorted(end, middles), len(end) - 1)]
        for end, target in zip(ends, targets, strict=True)
    ]
    return np.unique(np.stack(found, 1), axis=0)


def _nearest(
    points: list[Array], weights: Array, duals: list[Array], places: Array
) -> tuple[Tuples, Array]:
    """Return the tuple that attains F at each place, and the values of F."""
    tuples = np.empty((len(places), len(points)), np.int64)
    values = np.zeros(len(places))
    for first in range(0, len(places), BATCH):
        part = slice(first, first + BATCH)
        here = places[part]
        for k, (x, weight, dual) in enumerate(zip(points, weights, duals, strict=True)):
            offer = weight * (x * x).sum(1) - dual - 2 * weight * (here @ x.T)
            best = offer.argmin(1)
            tuples[part, k] = best
            values[part] += offer[np.arange(len(best)), best]
        values[part] += (here * here).sum(1)
    return tuples, values


def _improving(
    points: list[Array], weights: Array, duals: list[Array], tolerance: float
) -> tuple[Tuples, float]:
    """Search the plane for tuples of negative reduced cost.

    Returns
    -------
    tuples : ndarray, shape (n, m)
    least : float
        Lower bound on the reduced costs of all tuples.
    """
    everything = np.concatenate(points)
    low, high = everything.min(0), everything.max(0)
    size = SPACING
    counts = np.floor((high - low) / size).astype(int) + 1
    places = low + size * (np.indices(counts).reshape(2, -1).T + 0.5)
    found: list[Tuples] = []
    while True:
        tuples, values = _nearest(points, weights, duals, places)
        _, costs = _barycenters(points, weights, tuples)
        reduced = costs - sum(u[tuples[:, k]] for k, u in enumerate(duals))
        good = tuples[reduced < -tolerance]
        if len(good):
            found.append(good)
        bounds = values - size * size / 2
        if found:  # tuples to add were found; a tight bound is needed in the last round only
            return np.unique(np.concatenate(found), axis=0), float(bounds.min())
        places = places[bounds < -tolerance]
        if not len(places):
            return np.empty((0, len(points)), np.int64), -tolerance
        size /= 2
        quarter = size / 2 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
        places = (places[:, None] + quarter).reshape(-1, 2)
