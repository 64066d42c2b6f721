r"""The saddle-point training of neural optimal transport, in compiled chunks.

.. math:: \sup_f \inf_T \; E_x[C(x, T(x, \cdot)_\# S) - E_z f(T(x, z))] + E_y f(y)

Algorithm 1 of Korotin et al. 2022: ``inner_steps`` updates of T, each with fresh points and noise,
then one of f. Each network minimises its own loss,

.. math::
    L_T = E_x[\hat C(x, T(x, z_1), ..., T(x, z_k)) - \tfrac1k \sum_i f(T(x, z_i))], \qquad
    L_f = E f(T(x, z)) - E f(y).

f is not constrained. Batches are drawn inside the compiled steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from otbench.ot.neural.problem import Pair, Problem
from otbench.ot.neural.rules import annealed_gamma, blow_up, spread
from otbench.ot.training import (
    Parts,
    Sampler,
    Schedule,
    as_argument,
    check_samplers,
    in_chunks,
    update_ema,
)
from otbench.ot.w2.network import Parameters


@dataclass(frozen=True)
class Settings:
    """How long and how fast to train both networks.

    Attributes
    ----------
    potential : Schedule
        Schedule of f; its steps are the steps of the training.
    map_lr : float
        Learning rate of T, with the same schedule as that of the potential.
    inner_steps : int
        Number of updates of the map before each update of the potential.
    r1 : float
        Weight of the mean squared gradient of f at the target.
    annealing : float
        Share of the training in which gamma rises linearly from 0.
    """

    potential: Schedule
    map_lr: float = 1e-4
    inner_steps: int = 10
    r1: float = 0.0
    annealing: float = 0.0

    def __post_init__(self) -> None:
        if self.inner_steps < 1:
            raise ValueError(f"inner_steps must be at least 1, got {self.inner_steps}")
        if not self.map_lr > 0:
            raise ValueError(f"map_lr must be positive, got {self.map_lr}")
        if not 0 <= self.annealing <= 1:
            raise ValueError(f"annealing must lie in [0, 1], got {self.annealing}")
        if self.r1 < 0:
            raise ValueError(f"r1 must not be negative, got {self.r1}")

    @property
    def steps(self) -> int:
        """Number of updates of the potential."""
        return self.potential.steps

    @property
    def map(self) -> Schedule:
        """Schedule of T, whose running average moves once per step of the potential."""
        return replace(self.potential, steps=self.steps * self.inner_steps, lr=self.map_lr)

    def optimisers(self) -> Pair:
        """Return the optimisers of map and potential."""
        return Pair(self.map.optimiser(), self.potential.optimiser())


class Report(NamedTuple):
    """The state of training.

    Attributes
    ----------
    done : int
        Steps so far.
    parameters : Pair
    averaged : tree
        Averaged parameters of the map.
    potential_losses : ndarray
        L_f of each step since the last report, without the R1 term.
    parts : dict of str to float
        Means since the last report: ``map`` (L_T), ``cost``, ``conditional_variance`` (if there
        are several draws), ``potential`` (L_f), and ``spread``, the mean distance between two
        pushed points over that between two target points (1 if these are all the same).
    """

    done: int
    parameters: Pair
    averaged: Any
    potential_losses: np.ndarray
    parts: dict[str, float]


def _mean_distance(points: Array) -> Array:
    return jnp.sqrt(((points - jnp.roll(points, 1, axis=0)) ** 2).sum(1)).mean()


@partial(jax.jit, static_argnames=("problem", "settings"))
def run_steps(
    problem: Problem, settings: Settings, source: Sampler, target: Sampler, carry: Any, keys: Array
) -> tuple[Any, Parts]:
    """Take one step of the potential, preceded by those of the map, for each key.

    Parameters
    ----------
    problem, settings
    source, target : Partial
        See `otbench.ot.training.as_argument`.
    carry : tuple
        Parameters and optimisers' states, a `Pair` each, the running average of the map, and the
        number of steps so far.
    keys : Array
        One random key per step.
    """
    optimisers, k, updates = settings.optimisers(), problem.draws, settings.inner_steps
    rise = settings.annealing * settings.steps

    def inner(potential: Parameters, gamma: Any, carry: tuple, batch: tuple) -> tuple[tuple, dict]:
        own, state = carry
        gradients, parts = jax.grad(problem.map_loss, has_aux=True)(own, potential, *batch, gamma)
        changes, state = optimisers.map.update(gradients, state, own)
        return (optax.apply_updates(own, changes), state), parts

    def step(carry: tuple, key: Array) -> tuple[tuple, Parts]:
        parameters, states, average, t = carry
        x_key, y_key, z_key = jax.random.split(key, 3)
        # Draw all points and all noise of the step at once: separate draws take long to compile.
        x, y = jax.vmap(source)(jax.random.split(x_key, updates + 1)), target(y_key)
        m = x.shape[1]
        z = problem.noise_scale * jax.random.normal(z_key, (m, updates * k + 1, problem.noise))
        own_z = z[:, 1:].reshape(m, updates, k, problem.noise).swapaxes(0, 1)
        gamma = annealed_gamma(problem.gamma, t, rise, jnp.minimum)
        (own, state), parts = jax.lax.scan(
            partial(inner, parameters.potential, gamma),
            (parameters.map, states.map),
            (x[1:], own_z),
        )
        moved = problem.carry(own, x[0], z[:, :1])[:, 0]
        gradient = jax.grad(problem.potential_loss)(parameters.potential, moved, y, settings.r1)
        changes, other = optimisers.potential.update(
            gradient, states.potential, parameters.potential
        )
        average = update_ema(average, own, t, settings.potential.ema_decay)
        measured = {name: values.mean() for name, values in parts.items()} | {
            "potential": problem.potential_loss(parameters.potential, moved, y),
            "pushed_distance": _mean_distance(moved),
            "target_distance": _mean_distance(y),
        }
        potential = optax.apply_updates(parameters.potential, changes)
        return (Pair(own, potential), Pair(state, other), average, t + 1), measured

    return jax.lax.scan(step, carry, keys)


def train(
    problem: Problem,
    parameters: Pair,
    source: Sampler,
    target: Sampler,
    settings: Settings,
    key: Array,
    report_every: int = 50,
) -> Iterator[Report]:
    """Train, ``report_every`` compiled steps at a time.

    Parameters
    ----------
    problem : Problem
    parameters : Pair
        Initial state.
    source, target : callable
        Samplers of fresh batches (m, d) from the two laws.
    settings : Settings
    key : Array
        A JAX random key, from which every batch and all noise is drawn.
    report_every : int

    Yields
    ------
    Report
        The caller may stop at any report.

    Raises
    ------
    ValueError
        If the batches of a sampler are invalid.
    FloatingPointError
        If L_f has blown up; see `rules.blow_up`.
    """
    check_samplers(source, target, key)
    run = partial(run_steps, problem, settings, as_argument(source), as_argument(target))
    optimisers = settings.optimisers()
    states = Pair(
        optimisers.map.init(parameters.map), optimisers.potential.init(parameters.potential)
    )
    carry = (parameters, states, parameters.map, jnp.zeros(()))
    for done, (parameters, _, average, _), measured in in_chunks(
        run, carry, settings.steps, key, report_every
    ):
        losses = measured["potential"]
        _check_losses(losses, done - len(losses), problem.potential.dimension)
        parts = {name: float(np.mean(values)) for name, values in measured.items()}
        distances = parts.pop("pushed_distance"), parts.pop("target_distance")
        yield Report(done, parameters, average, losses, parts | {"spread": spread(*distances)})


def _check_losses(losses: np.ndarray, first: int, coordinates: int) -> None:
    for step, loss in enumerate(losses, first + 1):
        if reason := blow_up(float(loss), coordinates):
            raise FloatingPointError(f"{reason} (step {step})")
