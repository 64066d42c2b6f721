"""Training of maps in JAX: one schedule, one running average, one loop of compiled chunks.

Everything that determines a compiled step (networks, schedules, batch sizes) is hashable and
static. Everything that may differ between two trainings of the same shape (parameters, keys,
points to draw from) is an argument. A second training of the same shape therefore compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.tree_util import Partial

Carry = TypeVar("Carry")
Tree = TypeVar("Tree")
Parts = dict[str, Array]

Sampler = Callable[[Array], Array]
"""Draws a batch (m, n) from a random key, traceable by JAX."""


@dataclass(frozen=True)
class _Draw:
    """Draws ``size`` points with a sampler that takes a key and a number."""

    size: int

    def __call__(self, sampler: Callable[[Array, int], Array], key: Array) -> Array:
        return sampler(key, self.size)


@dataclass(frozen=True)
class _Choose:
    """Draws ``size`` rows of a pool, with replacement."""

    size: int

    def __call__(self, pool: Array, key: Array) -> Array:
        return pool[jax.random.randint(key, (self.size,), 0, len(pool))]


def as_argument(function: Callable[..., Any]) -> Partial:
    """Wrap a function as an argument of compiled steps; arrays bound by a `Partial` stay traced."""
    return function if isinstance(function, Partial) else Partial(function)


def batches_of(sampler: Callable[[Array, int], Array], size: int) -> Partial:
    """Return a sampler of batches of ``size`` points drawn by ``sampler(key, n)``."""
    return Partial(_Draw(size), as_argument(sampler))


def batches_from(pool: Array, size: int) -> Partial:
    """Return a sampler of batches of ``size`` rows of ``pool`` (k, n), with replacement."""
    return Partial(_Choose(size), pool)


def check_samplers(source: Sampler, target: Sampler, key: Array) -> None:
    """Check the first batches of two samplers.

    Raises
    ------
    ValueError
        Unless both are finite batches (m, n) of one dimension n.
    """
    shapes = []
    for name, sampler in (("source", source), ("target", target)):
        batch = _sample(as_argument(sampler), key)
        if batch.ndim != 2:
            raise ValueError(f"the {name}'s batches must have shape (m, n), got {batch.shape}")
        if not bool(jnp.all(jnp.isfinite(batch))):
            raise ValueError(f"the {name} draws values that are not finite")
        shapes.append(batch.shape)
    if shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"source and target must be of one dimension, got batches {shapes[0]} and {shapes[1]}"
        )


@jax.jit
def _sample(sampler: Sampler, key: Array) -> Array:
    return sampler(key)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train the parameters of one optimiser.

    Attributes
    ----------
    steps : int
        Number of updates.
    lr : float
        Highest learning rate.
    final_lr : float
        Learning rate at the end of a cosine over all steps, as a share of ``lr``; 1 is constant.
    warm_up : float
        Share of the steps in which the learning rate first rises linearly from 0.
    milestones : tuple of float
        Shares of the steps, in (0, 1), at which the learning rate is halved.
    betas : tuple of float
        Adam's decay rates of the first and the second moment.
    weight_decay : float
        Weight decay; 0 for none.
    clip : float
        Largest norm of a gradient before it is clipped; 0 for no clipping.
    kind : {"adam", "muon"}
        AdamW, or Muon as in optax (Jordan et al. 2024): the momentum of every matrix is brought
        close to the nearest orthogonal matrix before the step, and vectors use Adam.
    matrices : float
        Adam's learning rate for matrices over that for vectors. Adam moves every entry by about
        the learning rate, and the changes of hundreds of entries in a row add up.
    ema_decay : float
        Decay, per update, of the running average of the parameters; see `update_ema`.
    """

    steps: int
    lr: float = 5e-3
    final_lr: float = 0.01
    warm_up: float = 0.01
    milestones: tuple[float, ...] = ()
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip: float = 0.0
    kind: Literal["adam", "muon"] = "adam"
    matrices: float = 1.0
    ema_decay: float = 0.999

    def __post_init__(self) -> None:
        if self.kind not in ("adam", "muon"):
            raise ValueError(f"kind must be 'adam' or 'muon', got {self.kind!r}")
        if self.steps < 1 or not self.lr > 0:
            raise ValueError(
                f"steps must be at least 1 and lr positive, got {self.steps} and {self.lr}"
            )
        if not (0 <= self.warm_up < 1 and 0 <= self.ema_decay < 1):
            raise ValueError("warm_up and ema_decay must lie in [0, 1)")
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(
                f"milestones are shares of the training in (0, 1), got {self.milestones}"
            )
        if self.clip < 0:
            raise ValueError(f"clip must not be negative, got {self.clip}")
        if self.kind == "muon" and self.matrices != 1:
            raise ValueError("matrices is a share of Adam's lr: Muon gives matrices its own")

    def learning_rate(self) -> Callable[[Any], Any]:
        """Return the learning rate as a function of the number of updates done."""
        warm = round(self.warm_up * self.steps)
        smooth = optax.warmup_cosine_decay_schedule(
            0.0 if warm else self.lr, self.lr, warm, self.steps, self.final_lr * self.lr
        )
        if not self.milestones:
            return smooth
        halved = {round(share * self.steps): 0.5 for share in self.milestones}
        factor = optax.piecewise_constant_schedule(1.0, halved)
        return lambda t: smooth(t) * factor(t)

    def optimiser(self) -> Any:
        """Return the optax optimiser of this kind."""
        optimiser = self._optimiser()
        if self.clip:
            return optax.chain(optax.clip_by_global_norm(self.clip), optimiser)
        return optimiser

    def _optimiser(self) -> Any:
        b1, b2 = self.betas
        lr, decay = self.learning_rate(), self.weight_decay
        if self.kind == "muon":
            from optax.contrib import muon

            return muon(lr, weight_decay=decay, adam_b1=b1, adam_b2=b2, adam_weight_decay=decay)

        def adam(share: float) -> Any:
            return optax.adamw(lambda t: share * lr(t), b1=b1, b2=b2, weight_decay=decay)

        if self.matrices == 1:
            return adam(1.0)
        return optax.multi_transform(
            {True: adam(self.matrices), False: adam(1.0)},
            lambda tree: jax.tree.map(lambda value: value.ndim > 1, tree),
        )


def update_ema(average: Tree, parameters: Tree, t: Array, decay: float) -> Tree:
    """Move a running average towards the parameters.

    The decay is at most t / (t + 1) after t updates. The average thus starts as a plain mean and is
    not dominated by the first steps. A decay of 0 gives the parameters themselves.
    """
    step = 1 - jnp.minimum(decay, t / (t + 1))
    return optax.incremental_update(parameters, average, step)


def in_chunks(
    run: Callable[[Carry, Array], tuple[Carry, Parts]],
    carry: Carry,
    steps: int,
    key: Array,
    report_every: int,
) -> Iterator[tuple[int, Carry, dict[str, np.ndarray]]]:
    """Run compiled steps, ``report_every`` at a time.

    Parameters
    ----------
    run : callable
        Maps a carry and the keys (k, ...) of k steps to the carry after these steps and the
        measurements of each step.
    carry : tree
        Initial state.
    steps : int
    key : Array
        A JAX random key, which is split into one key per step.
    report_every : int

    Yields
    ------
    done : int
        Steps so far.
    carry : tree
    parts : dict of ndarray, shape (k,)
        Measurements since the last report.
    """
    keys = jax.random.split(key, steps)
    for first in range(0, steps, report_every):
        carry, parts = run(carry, keys[first : first + report_every])
        measured = {name: np.asarray(values) for name, values in parts.items()}
        yield min(first + report_every, steps), carry, measured
