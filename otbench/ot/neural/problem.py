"""The two networks of neural optimal transport and their losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from otbench.ot.neural.costs import COSTS, check_cost, conditional_variance
from otbench.ot.w2.network import Network, Parameters


class Pair(NamedTuple):
    """Parameters of the map T and of the potential f, or the states of their optimisers."""

    map: Any
    potential: Any


@dataclass(frozen=True)
class Problem:
    """The networks to train and the cost.

    Attributes
    ----------
    map : Network
        Maps rows [x, z] to points; see `networks.map_network`.
    potential : Network
        Maps points to values (m,).
    cost : str
        One of `costs.COSTS`.
    gamma : float
    noise : int
        Number of coordinates of z, which is standard normal times ``noise_scale``.
    noise_scale : float
    draws : int
        Draws of z for each x in an update of T; an update of f takes one.
    bounded : bool
        Whether the map's output is bounded.

    Raises
    ------
    ValueError
        See `costs.check_cost`.
    """

    map: Network
    potential: Network
    cost: str
    gamma: float
    noise: int
    noise_scale: float
    draws: int
    bounded: bool = False

    def __post_init__(self) -> None:
        check_cost(self.cost, self.gamma, self.draws, self.bounded)

    def init(self, key: Array) -> Pair:
        """Initialise both networks; neither initialisation uses data."""
        first, second = jax.random.split(key)
        nothing = jnp.zeros((1, self.potential.dimension))
        return Pair(self.map.init(first, nothing), self.potential.init(second, nothing))

    def carry(self, parameters: Parameters, x: Array, z: Array) -> Array:
        """Carry points (m, d) by noise (m, k, noise), to draws (m, k, d)."""
        m, k, _ = z.shape
        repeated = jnp.broadcast_to(x[:, None], (m, k, x.shape[1]))
        rows = jnp.concatenate([repeated, z], axis=2).reshape(m * k, -1)
        return self.map.apply(parameters, rows).reshape(m, k, -1)

    def map_loss(
        self, own: Parameters, other: Parameters, x: Array, z: Array, gamma: Array | float
    ) -> tuple[Array, dict[str, Array]]:
        """Return L_T for points (m, d) and noise (m, k, noise), with the mean cost in it."""
        moved = self.carry(own, x, z)
        cost = COSTS[self.cost](x, moved, gamma).mean()
        score = self.potential.apply(other, moved.reshape(-1, moved.shape[2])).mean()
        parts = {"map": cost - score, "cost": cost}
        if self.draws > 1:
            parts["conditional_variance"] = conditional_variance(
                jax.lax.stop_gradient(moved)
            ).mean()
        return cost - score, parts

    def potential_loss(self, own: Parameters, moved: Array, y: Array, r1: float = 0.0) -> Array:
        """Return L_f, plus r1 / 2 times the mean of |grad f(y)|^2 if r1 is positive."""
        values = self.potential.apply(own, jnp.concatenate([moved, y]))
        loss = values[: len(moved)].mean() - values[len(moved) :].mean()
        if not r1:
            return loss
        slopes = jax.grad(lambda points: self.potential.apply(own, points).sum())(y)
        return loss + 0.5 * r1 * (slopes**2).sum(1).mean()
