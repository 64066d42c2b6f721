"""Training of potentials: compiled steps that draw their own batches, reported in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from otbench.ot.w2.losses import Parts

Tree = TypeVar("Tree")
Sampler = Callable[[Array], Array]
"""Draws a batch (m, n) from a random key, traceable by JAX."""


class Loss(Protocol[Tree]):
    """What is trained: `losses.DualLoss` or `enot.ExpectileLoss`."""

    def project(self, parameters: Tree) -> Tree:
        """Bring parameters back to the feasible ones."""

    def __call__(self, parameters: Tree, x: Array, y: Array) -> tuple[Array, Parts]:
        """Return the loss of one batch and its parts."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    steps : int
    rate : float
        The highest; a cosine over all steps ends at ``last`` times it.
    last : float
    warm_up : float
        Share of the steps in which the rate first rises linearly from 0.
    decays : tuple of float
        Adam's two.
    weight_decay : float
        0 is none.
    kind : {"adam", "muon"}
        AdamW, or Muon: the momentum of every matrix is brought near the closest orthogonal one
        before the step, vectors go by Adam (Jordan et al. 2024; optax's).
    matrices : float
        Adam's rate of matrices over that of vectors: Adam moves every entry by about the rate, and
        a row of hundreds of entries adds up.
    averaging : float
        Decay of the running average of the parameters. It starts as a plain mean, so that the first
        steps do not weigh on it: the decay is at most t / (t + 1) after t steps.
    """

    steps: int
    rate: float = 5e-3
    last: float = 0.01
    warm_up: float = 0.01
    decays: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    averaging: float = 0.999
    kind: Literal["adam", "muon"] = "adam"
    matrices: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("adam", "muon"):
            raise ValueError(f"kind must be 'adam' or 'muon', got {self.kind!r}")
        if self.steps < 1 or not self.rate > 0:
            raise ValueError(
                f"steps must be at least 1 and rate positive, got {self.steps} and {self.rate}"
            )
        if not (0 <= self.warm_up < 1 and 0 <= self.averaging < 1):
            raise ValueError("warm_up and averaging must lie in [0, 1)")
        if self.kind == "muon" and self.matrices != 1:
            raise ValueError("matrices is a share of Adam's rate: Muon gives matrices its own")

    def rates(self) -> Callable[[Array], Array]:
        """Return the rate as a function of the number of updates before."""
        warm = round(self.warm_up * self.steps)
        rates: Callable[[Array], Array] = optax.warmup_cosine_decay_schedule(
            0.0 if warm else self.rate, self.rate, warm, self.steps, self.last * self.rate
        )
        return rates

    def optimiser(self) -> Any:
        """Return optax's optimiser of that kind."""
        b1, b2 = self.decays
        if self.kind == "muon":
            from optax.contrib import muon

            decay = self.weight_decay
            return muon(
                self.rates(), weight_decay=decay, adam_b1=b1, adam_b2=b2, adam_weight_decay=decay
            )
        rates = self.rates()

        def adam(share: float) -> Any:
            return optax.adamw(
                lambda t: share * rates(t), b1=b1, b2=b2, weight_decay=self.weight_decay
            )

        if self.matrices == 1:
            return adam(1.0)
        return optax.multi_transform(
            {True: adam(self.matrices), False: adam(1.0)},
            lambda tree: jax.tree.map(lambda value: value.ndim > 1, tree),
        )


class Progress(NamedTuple, Generic[Tree]):
    """Where training stands.

    Attributes
    ----------
    done : int
        Updates so far.
    parameters, averaged : tree
        Those of the last update, and their running average.
    parts : dict of str to float
        Means since the last report, but the largest of what is named ``..._max``.
    """

    done: int
    parameters: Tree
    averaged: Tree
    parts: dict[str, float]


def update_step(
    loss: Loss[Tree], optimiser: Any, source: Sampler, target: Sampler, averaging: float
) -> Callable[[tuple, Array], tuple[tuple, Parts]]:
    """Return one update as a function of (parameters, optimiser's state, average, t) and a key."""

    def update(carry: tuple, key: Array) -> tuple[tuple, Parts]:
        parameters, state, averaged, t = carry
        source_key, target_key = jax.random.split(key)
        x, y = source(source_key), target(target_key)
        gradients, parts = jax.grad(loss, has_aux=True)(parameters, x, y)
        updates, state = optimiser.update(gradients, state, parameters)
        parameters = loss.project(optax.apply_updates(parameters, updates))
        decay = jnp.minimum(averaging, t / (t + 1))
        averaged = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, averaged, parameters)
        return (parameters, state, averaged, t + 1), parts

    return update


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
        Where to start.
    source, target : callable
        Draw fresh batches from the two laws.
    schedule : Schedule
    key : Array
        A JAX random key, from which every batch is drawn.
    report_every : int

    Yields
    ------
    Progress
        A caller may stop here, or say so elsewhere.

    Raises
    ------
    ValueError
        If a sampler's batch is not of shape (m, n), the two differ in n, or a first batch is not
        finite.
    FloatingPointError
        If a parameter is no longer finite: training has diverged.
    """
    check_samplers(source, target, key)
    optimiser = schedule.optimiser()
    update = update_step(loss, optimiser, source, target, schedule.averaging)
    run = jax.jit(partial(jax.lax.scan, update))
    carry = (parameters, optimiser.init(parameters), parameters, jnp.zeros(()))
    keys = jax.random.split(key, schedule.steps)
    for first in range(0, schedule.steps, report_every):
        carry, parts = run(carry, keys[first : first + report_every])
        done = min(first + report_every, schedule.steps)
        if not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(carry[0])):
            raise FloatingPointError(f"training diverged: parameters not finite at step {done}")
        yield Progress(done, carry[0], carry[2], _summarised(parts))


def _summarised(parts: Parts) -> dict[str, float]:
    return {
        name: float(np.max(values) if name.endswith("_max") else np.mean(values))
        for name, values in parts.items()
    }


def check_samplers(source: Sampler, target: Sampler, key: Array) -> None:
    """Raise ValueError unless both draw finite batches (m, n) of one dimension."""
    shapes = []
    for name, sampler in (("source", source), ("target", target)):
        batch = jax.jit(sampler)(key)
        if batch.ndim != 2:
            raise ValueError(f"the {name}'s batches must have shape (m, n), got {batch.shape}")
        if not bool(jnp.all(jnp.isfinite(batch))):
            raise ValueError(f"the {name} draws values that are not finite")
        shapes.append(batch.shape)
    if shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"source and target must be of one dimension, got batches {shapes[0]} and {shapes[1]}"
        )
