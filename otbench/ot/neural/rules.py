"""Rules that detect failed training of a map against a potential, and the schedule of gamma.

The rules are plain arithmetic and do not depend on the library that trains.
"""

from __future__ import annotations

from typing import Any

LARGEST_LOSS = 1e3
"""Largest |L_f| per coordinate before training counts as diverged.

In the units of training (the range [-1, 1], or a target of unit variance), costs per coordinate are
of order 1, and so is a potential in balance with them; one out of balance is not bounded.
"""

COLLAPSED = 0.5
"""Spread of the pushed points over the target's, below which a map has collapsed."""


def blow_up(loss: float, coordinates: int = 1) -> str | None:
    """Return why the training has diverged, judged by the potential's loss L_f, or None.

    Parameters
    ----------
    loss : float
    coordinates : int
        Number of coordinates that the cost sums over; 1 for a mean.
    """
    if abs(loss) <= LARGEST_LOSS * coordinates:
        return None
    return f"training diverged: the potential's loss became {loss:.3g}; lower potential_lr"


def spread(pushed_distance: float, target_distance: float) -> float:
    """Return the mean distance between two pushed points over that between two target points.

    It is 1 if the target's points are all the same.
    """
    return pushed_distance / target_distance if target_distance else 1.0


def annealed_gamma(gamma: float, done: Any, rise: float, minimum: Any = min) -> Any:
    """Return the weight of a weak cost, which rises linearly from 0.

    Parameters
    ----------
    gamma : float
        Final value.
    done : number or array
        Steps of the potential so far.
    rise : float
        Number of steps after which the final value is reached; 0 means at once.
    minimum : callable
        Minimum function of the library whose array ``done`` is.
    """
    return gamma * minimum(done / rise, 1.0) if rise else gamma
