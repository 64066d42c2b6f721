"""When the training of a map against a potential has gone wrong, and how gamma rises.

Plain arithmetic, for whatever library trains.
"""

from __future__ import annotations

from typing import Any

LARGEST_LOSS = 1e3
"""Largest |L_f| a coordinate that still counts as training.

Costs a coordinate are of order 1 in the units of training (the range [-1, 1], or a target of unit
variance), and so is a potential that is in balance with them; nothing bounds one that is not.
"""

COLLAPSED = 0.5
"""Spread of the pushed points over the target's, below which a map has collapsed."""


def blow_up(loss: float, coordinates: int = 1) -> str | None:
    """Return why the training has diverged, judged by the potential's loss L_f, or None.

    Parameters
    ----------
    loss : float
    coordinates : int
        How many the cost is a sum over; 1 for a mean.
    """
    if abs(loss) <= LARGEST_LOSS * coordinates:
        return None
    return f"training diverged: the potential's loss became {loss:.3g}; lower potential_lr"


def spread(pushed_distance: float, target_distance: float) -> float:
    """Return the mean distance of two pushed points over that of two target points.

    1 where the target's points are all the same.
    """
    return pushed_distance / target_distance if target_distance else 1.0


def annealed_gamma(gamma: float, done: Any, rise: float, minimum: Any = min) -> Any:
    """Return the weight of a weak cost on its linear way up from 0.

    Parameters
    ----------
    gamma : float
        Where it arrives.
    done : number or array
        Steps of the potential so far.
    rise : float
        Steps after which it has arrived; 0: at once.
    minimum : callable
        Of the library that ``done`` is an array of.
    """
    return gamma * minimum(done / rise, 1.0) if rise else gamma
