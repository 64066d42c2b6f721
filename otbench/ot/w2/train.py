"""Training of potentials, in compiled steps that draw their own batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from otbench.ot.training import (
    Parts,
    Sampler,
    Schedule,
    as_argument,
    check_samplers,
    in_chunks,
    update_ema,
)

Tree = TypeVar("Tree")


class Loss(Protocol[Tree]):
    """A loss to train: `losses.DualLoss`, `enot.ExpectileLoss` or `pretraining.IdentityLoss`.

    It is a pytree whose structure determines the compiled step.
    """

    def project(self, parameters: Tree) -> Tree:
        """Project the parameters onto the feasible ones."""

    def __call__(self, parameters: Tree, x: Array, y: Array) -> tuple[Array, Parts]:
        """Return the loss of one batch and its parts."""


class Progress(NamedTuple, Generic[Tree]):
    """The state of training.

    Attributes
    ----------
    done : int
        Number of updates so far.
    parameters, averaged : tree
        Parameters after the last update, and their running average.
    parts : dict of str to float
        Means since the last report, except for names ``..._max``, which are maxima.
    """

    done: int
    parameters: Tree
    averaged: Tree
    parts: dict[str, float]


@partial(jax.jit, static_argnames="schedule")
def run_updates(
    loss: Loss[Any], schedule: Schedule, source: Sampler, target: Sampler, carry: Any, keys: Array
) -> tuple[Any, Parts]:
    """Update parameters once for each key.

    Parameters
    ----------
    loss, schedule
    source, target : Partial
        See `otbench.ot.training.as_argument`.
    carry : tuple
        Parameters, the optimiser's state, the running average, and the number of updates so far.
    keys : Array
        One random key per update.
    """
    optimiser = schedule.optimiser()

    def update(carry: tuple, key: Array) -> tuple[tuple, Parts]:
        parameters, state, average, t = carry
        source_key, target_key = jax.random.split(key)
        x, y = source(source_key), target(target_key)
        gradients, parts = jax.grad(loss.__call__, has_aux=True)(parameters, x, y)
        updates, state = optimiser.update(gradients, state, parameters)
        parameters = loss.project(optax.apply_updates(parameters, updates))
        average = update_ema(average, parameters, t, schedule.ema_decay)
        return (parameters, state, average, t + 1), parts

    return jax.lax.scan(update, carry, keys)


def train(
    loss: Loss[Tree],
    parameters: Tree,
    source: Sampler,
    target: Sampler,
    schedule: Schedule,
    key: Array,
    report_every: int = 100,
) -> Iterator[Progress[Tree]]:
    """Train, ``report_every`` compiled steps at a time.

    Parameters
    ----------
    loss : Loss
    parameters : tree
        Initial state.
    source, target : callable
        Samplers of fresh batches from the two laws.
    schedule : Schedule
    key : Array
        A JAX random key, from which every batch is drawn.
    report_every : int

    Yields
    ------
    Progress
        The caller may stop at any report.

    Raises
    ------
    ValueError
        If a batch does not have shape (m, n), if the two differ in n, or if a first batch is not
        finite.
    FloatingPointError
        If a parameter is no longer finite because training has diverged.
    """
    check_samplers(source, target, key)
    run = partial(run_updates, loss, schedule, as_argument(source), as_argument(target))
    state = schedule.optimiser().init(parameters)
    carry = (parameters, state, parameters, jnp.zeros(()))
    for done, (parameters, _, average, _), parts in in_chunks(
        run, carry, schedule.steps, key, report_every
    ):
        if not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(parameters)):
            raise FloatingPointError(f"training diverged: parameters not finite at step {done}")
        yield Progress(done, parameters, average, _summarised(parts))


def _summarised(parts: dict[str, np.ndarray]) -> dict[str, float]:
    return {
        name: float(np.max(values) if name.endswith("_max") else np.mean(values))
        for name, values in parts.items()
    }
