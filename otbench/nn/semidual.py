"""What trainings of a map against a potential share, whatever their networks."""

from __future__ import annotations

from torch import Tensor

from otbench.interface.training import Diverged

BLOW_UP = 1e3
"""Largest |L_f| that still counts as training. Costs are means over pixels on [-1, 1], below 8, and
a potential that is in balance with them stays of that order; nothing bounds one that is not."""


def risen(gamma: float, done: float, rise: float) -> float:
    """Return the weight of a weak cost on its linear way up from 0.

    Parameters
    ----------
    gamma : float
        Where it arrives.
    done, rise : float
        Steps of the potential so far, and those after which it has arrived.
    """
    return gamma if done >= rise else gamma * done / rise


def check_potential(loss: Tensor) -> None:
    """Refuse to go on where the potential has blown up.

    Raises
    ------
    Diverged
        If L_f is not finite or beyond `BLOW_UP`.
    """
    value = float(loss.detach())
    if not abs(value) <= BLOW_UP:
        raise Diverged(
            f"training diverged: the potential's loss became {value:.3g}; lower potential_rate"
        )
