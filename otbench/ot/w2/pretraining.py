"""Training networks to the identity before they learn a map, as the release of Amos 2023 does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from otbench.ot.gradients import gradient_of
from otbench.ot.training import Parts, Schedule, batches_of
from otbench.ot.w2.losses import DualParameters
from otbench.ot.w2.network import Network
from otbench.ot.w2.train import Loss, Progress, train

Tree = TypeVar("Tree")

GOOD_ENOUGH = 1e-6
"""Mean squared error at which pretraining stops."""

AT_LEAST = 1000


@partial(jax.tree_util.register_dataclass, data_fields=["loss"], meta_fields=["networks"])
@dataclass(frozen=True)
class IdentityLoss(Generic[Tree]):
    """Mean squared distance of maps from the identity, over batch and coordinates.

    Attributes
    ----------
    loss : Loss
        Loss whose networks are trained; it keeps the parameters feasible.
    networks : tuple of Network or None
        In the order of the parameters' fields.
    """

    loss: Loss[Tree]
    networks: tuple[Network | None, ...]

    def project(self, parameters: Tree) -> Tree:
        """Project the parameters onto the feasible ones."""
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
    lr: float = 1e-3,
) -> Iterator[Progress[Tree]]:
    """Train to the identity on points uniform in [-bound, bound]^n, by Adam at a constant rate.

    Training stops once every network's error is below `GOOD_ENOUGH`, after `AT_LEAST` updates at
    the earliest. One update trains all networks; since they share no parameters, the result is the
    same as in the release, which trains them one after the other.
    """
    dimension = next(n.dimension for n in networks if n is not None)

    cube = Partial(_uniform, np.full(dimension, bound, np.float32))
    uniform = batches_of(cube, batch)
    schedule = Schedule(steps, lr, final_lr=1.0, warm_up=0.0, betas=(0.9, 0.999), ema_decay=0.0)
    for progress in train(
        IdentityLoss(loss, networks), parameters, uniform, uniform, schedule, key
    ):
        yield progress
        if progress.done >= AT_LEAST and progress.parts["identity"] < GOOD_ENOUGH:
            return


def _uniform(bounds: Array, key: Array, n: int) -> Array:
    return bounds[None] * jax.random.uniform(key, (n, len(bounds)), minval=-1.0)
