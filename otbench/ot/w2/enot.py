r"""Expectile-regularised neural optimal transport, in correlation form.

Buzun, Bobrin & Dylov 2024 (arXiv 2403.03777), for the cost c(x, y) = -<x, y>. The map of one
potential stands in for the conjugation of the other, and an expectile loss over pairs (x, y) drawn
at random enforces f(x) + g(y) >= <x, y>. This makes the two potentials conjugate without a solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import gradient_of
from otbench.ot.training import Parts
from otbench.ot.w2.network import Network, Parameters


class PairParameters(NamedTuple):
    """Parameters of the potentials f on the source and g on the target."""

    f: Parameters
    g: Parameters


def expectile(u: Array, tau: float) -> Array:
    """Return u^2, weighted by tau where u >= 0 and by 1 - tau elsewhere."""
    return jnp.where(u >= 0, tau, 1 - tau) * u * u


def direction_loss(
    mover: Network,
    other: Network,
    moving: Parameters,
    opposite: Parameters,
    x: Array,
    y: Array,
    tau: float,
    weight: float,
) -> Array:
    r"""Return the loss of one direction: the mover's gradient carries x, the other is its dual.

    With T = grad f(x), the mover f and the other potential g (the authors' g is minus ours),

    .. math::
        L = E[g_{sg}(T) - \langle x, T \rangle]
            + E[g(y)] - E[g(T_{sg}) - \langle x, T_{sg} \rangle]
            + \lambda E[l_\tau(sg(\langle x, y \rangle + h(x)) - g(y))
                        + l_\tau(sg(\langle x, y \rangle - g(y)) + h(x))],

    where sg stops gradients and h(x) = g(T_sg) - <x, T_sg> equals -g*(x) once T is right. The
    arguments of l_tau are the amounts by which a pair violates g(y) + g*(x) >= <x, y>.
    """
    moved = gradient_of(partial(mover.apply, moving))(x)
    held = jax.lax.stop_gradient(moved)
    gain = other.apply(jax.lax.stop_gradient(opposite), moved) - jnp.sum(x * moved, axis=1)
    values = other.apply(opposite, jnp.concatenate([held, y]))
    conjugate = values[: len(x)] - jnp.sum(x * held, axis=1)
    at_target = values[len(x) :]
    correlation = jnp.sum(x * y, axis=1)
    still = jax.lax.stop_gradient
    first = expectile(still(conjugate + correlation) - at_target, tau)
    second = expectile(still(correlation - at_target) + conjugate, tau)
    dual = jnp.mean(at_target) - jnp.mean(conjugate)
    return jnp.mean(gain) + dual + weight * jnp.mean(first + second)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[],
    meta_fields=["f", "g", "tau", "weight"],
)
@dataclass(frozen=True)
class ExpectileLoss:
    """The loss of one step that updates both potentials, both directions at once.

    Attributes
    ----------
    f, g : Network
        Potentials of the source and of the target; grad f is the map, grad g its inverse.
    tau : float
        In (0, 1]; 1 penalises violated pairs only (the authors' high-dimensional setting).
    weight : float
        Lambda, 0.5 in that setting.

    Raises
    ------
    ValueError
        If tau is outside (0, 1], the weight is negative or the dimensions differ.
    """

    f: Network
    g: Network
    tau: float = 1.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.tau <= 1:
            raise ValueError(f"tau must lie in (0, 1], got {self.tau}")
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")
        if self.f.dimension != self.g.dimension:
            raise ValueError(f"f is of dimension {self.f.dimension}, g of {self.g.dimension}")

    def init(self, key: Array, sample: Array) -> PairParameters:
        """Initialise both potentials; data-dependent initialisations use the sample (m, n)."""
        first, second = jax.random.split(key)
        return PairParameters(self.f.init(first, sample), self.g.init(second, sample))

    def project(self, parameters: PairParameters) -> PairParameters:
        """Restore the convexity of both potentials after an update."""
        return PairParameters(self.f.project(parameters.f), self.g.project(parameters.g))

    def __call__(self, parameters: PairParameters, x: Array, y: Array) -> tuple[Array, Parts]:
        """Return the loss of one batch, x of the source, y of the target, paired at random.

        Returns
        -------
        loss : Array, scalar
        parts : dict of Array, scalars
            ``forward`` and ``backward``, the losses of the two directions.
        """
        forward = direction_loss(
            self.f, self.g, parameters.f, parameters.g, x, y, self.tau, self.weight
        )
        backward = direction_loss(
            self.g, self.f, parameters.g, parameters.f, y, x, self.tau, self.weight
        )
        return forward + backward, {"forward": forward, "backward": backward}
