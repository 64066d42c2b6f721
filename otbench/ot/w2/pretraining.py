"""Training networks to the identity before they learn a map, as the release of Amos 2023 does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import gradient_of
from otbench.ot.w2.losses import DualParameters, Parts
from otbench.ot.w2.potentials import Network
from otbench.ot.w2.train import Loss, Progress, Schedule, train

Tree = TypeVar("Tree")

GOOD_ENOUGH = 1e-6
"""Mean squared error at which pretraining stops."""

AT_LEAST = 1000


class IdentityLoss(Generic[Tree]):
    """How far maps are from the identity: squared errors, means over batch and coordinates.

    Parameters
    ----------
    loss : Loss
        Whose networks are trained; it keeps the parameters feasible.
    networks : tuple of Network or None
        In the order of the parameters' fields.
    """

    def __init__(self, loss: Loss[Tree], networks: tuple[Network | None, ...]) -> None:
        self.loss, self.networks = loss, networks

    def project(self, parameters: Tree) -> Tree:
        """Bring parameters back to the feasible ones."""
        return self.loss.project(parameters)

    def __call__(self, parameters: Tree, x: Array, y: Array) -> tuple[Array, Parts]:
        """Return the sum of the networks' errors at x; ``identity`` is the greatest of them."""
        parts: Any = parameters
        errors = []
        for position, network in enumerate(self.networks):
            if network is None:
                continue
            apply = partial(network.apply, parts[position])
            amortizer = isinstance(parameters, DualParameters) and position == 1
            moved = apply(x) if amortizer else gradient_of(apply)(x)
            errors.append(jnp.mean((moved - x) ** 2))
        together = jnp.stack(errors)
        return jnp.sum(together), {"identity": jnp.max(together)}


def pretrain(
    loss: Loss[Tree],
    networks: tuple[Network | None, ...],
    parameters: Tree,
    key: Array,
    steps: int,
    batch: int,
    bound: float,
    rate: float = 1e-3,
) -> Iterator[Progress[Tree]]:
    """Train to the identity on points uniform in [-bound, bound]^n, by Adam at a constant rate.

    Stops after `AT_LEAST` updates where every network's error is below `GOOD_ENOUGH`. One update
    trains all networks, which share no parameters, as the release trains them one after the other.
    """
    dimension = next(n.dimension for n in networks if n is not None)

    def uniform(key: Array) -> Array:
        return jax.random.uniform(key, (batch, dimension), minval=-bound, maxval=bound)

    schedule = Schedule(steps, rate, last=1.0, warm_up=0.0, decays=(0.9, 0.999), averaging=0.0)
    for progress in train(
        IdentityLoss(loss, networks), parameters, uniform, uniform, schedule, key
    ):
        yield progress
        if progress.done >= AT_LEAST and progress.parts["identity"] < GOOD_ENOUGH:
            return
