r"""The saddle-point training of neural optimal transport, in compiled chunks.

.. math:: \sup_f \inf_T \; E_x[C(x, T(x, \cdot)_\# S) - E_z f(T(x, z))] + E_y f(y)

Algorithm 1 of Korotin et al. 2022: ``inner_steps`` updates of T with fresh points and noise each,
then one of f. Both nets descend their own loss,

.. math::
    L_T = E_x[\hat C(x, T(x, z_1), ..., T(x, z_k)) - \tfrac1k \sum_i f(T(x, z_i))], \qquad
    L_f = E f(T(x, z)) - E f(y).

f has no constraint. Batches are drawn inside the compiled steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from otbench.ot.neural.costs import COSTS, check_cost, conditional_variance
from otbench.ot.w2.potentials import Network, Parameters
from otbench.ot.w2.train import Sampler, check_samplers

LIMIT = 1e4
"""Largest |L_f| that still counts as training, for a target of unit variance per coordinate."""


class Pair(NamedTuple):
    """Parameters of the map T and of the potential f; also their optimisers' states."""

    map: Any
    potential: Any


@dataclass(frozen=True)
class Problem:
    """What is trained.

    Attributes
    ----------
    map : Network
        From rows [x, z] to points, see `networks.noisy_map`.
    potential : Network
        From points to values (m,).
    cost : str
        One of `costs.COSTS`.
    gamma : float
    noise : int
        Coordinates of z, standard normal times ``noise_scale``.
    noise_scale : float
    draws : int
        Of z for each x in an update of T; an update of f takes one.
    bounded : bool
        Whether the map's values are.

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
        """Start both networks; neither start looks at data."""
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
            parts["cond_var"] = conditional_variance(jax.lax.stop_gradient(moved)).mean()
        return cost - score, parts

    def potential_loss(self, own: Parameters, moved: Array, y: Array, r1: float = 0.0) -> Array:
        """Return L_f, and half r1 times the mean |grad f(y)|^2 where that is to be held down."""
        values = self.potential.apply(own, jnp.concatenate([moved, y]))
        loss = values[: len(moved)].mean() - values[len(moved) :].mean()
        if not r1:
            return loss
        slopes = jax.grad(lambda points: self.potential.apply(own, points).sum())(y)
        return loss + 0.5 * r1 * (slopes**2).sum(1).mean()


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    steps : int
        Updates of the potential.
    inner_steps : int
        Updates of the map before each of them.
    map_rate, potential_rate : float
        Adam's.
    decays : tuple of float
        Adam's two.
    halvings : tuple of float
        Shares of the training, in (0, 1), at which both rates are halved.
    clip : float
        Largest norm of a gradient; 0 for any.
    averaging : float
        Decay, per step, of the running average of the map's parameters; it is at most t / (t + 1)
        after t steps. 0: the average is the last parameters.
    r1 : float
        Weight of the mean squared slope of f at the target.
    annealing : float
        Share of the training in which gamma rises linearly from 0.
    """

    steps: int
    inner_steps: int = 10
    map_rate: float = 1e-4
    potential_rate: float = 1e-4
    decays: tuple[float, float] = (0.9, 0.999)
    halvings: tuple[float, ...] = ()
    clip: float = 0.0
    averaging: float = 0.0
    r1: float = 0.0
    annealing: float = 0.0

    def __post_init__(self) -> None:
        if min(self.steps, self.inner_steps) < 1:
            raise ValueError(
                f"steps and inner_steps must be at least 1, got {self.steps}, {self.inner_steps}"
            )
        if not min(self.map_rate, self.potential_rate) > 0:
            raise ValueError(
                f"both rates must be positive, got {self.map_rate}, {self.potential_rate}"
            )
        if not all(0 < share < 1 for share in self.halvings):
            raise ValueError(f"halvings are shares of the training in (0, 1), got {self.halvings}")
        if not (0 <= self.averaging < 1 and 0 <= self.annealing <= 1):
            raise ValueError("averaging must lie in [0, 1) and annealing in [0, 1]")
        if min(self.clip, self.r1) < 0:
            raise ValueError(f"clip and r1 must not be negative, got {self.clip} and {self.r1}")

    def optimisers(self) -> Pair:
        """Return the optimisers of map and potential."""
        return Pair(
            self._optimiser(self.map_rate, self.inner_steps),
            self._optimiser(self.potential_rate, 1),
        )

    def _optimiser(self, rate: float, updates: int) -> Any:
        halved = {round(share * self.steps) * updates: 0.5 for share in self.halvings}
        rates = optax.piecewise_constant_schedule(rate, halved)
        adam = optax.adam(rates, *self.decays)
        return optax.chain(optax.clip_by_global_norm(self.clip), adam) if self.clip else adam

    def gamma(self, highest: float, t: Array) -> Array | float:
        """Return gamma after t steps."""
        rise = self.annealing * self.steps
        return highest * jnp.minimum(t / rise, 1.0) if rise else highest


class Report(NamedTuple):
    """Where training stands.

    Attributes
    ----------
    done : int
        Steps so far.
    parameters : Pair
    averaged : tree
        The map's, averaged.
    potential_losses : ndarray
        L_f of each step since the last report, without the R1 term.
    parts : dict of str to float
        Means since the last report: ``map`` (L_T), ``cost``, ``cond_var`` (where there are several
        draws), ``potential`` (L_f), and ``spread``, the mean distance of two pushed points over
        that of two target points (1 where these are all the same).
    """

    done: int
    parameters: Pair
    averaged: Any
    potential_losses: np.ndarray
    parts: dict[str, float]


def _mean_distance(points: Array) -> Array:
    return jnp.sqrt(((points - jnp.roll(points, 1, axis=0)) ** 2).sum(1)).mean()


def outer_step(
    problem: Problem, schedule: Schedule, source: Sampler, target: Sampler
) -> Callable[[tuple, Array], tuple[tuple, dict[str, Array]]]:
    """Return one step as a function of (parameters, states, average, t) and a key."""
    optimisers, k, updates = schedule.optimisers(), problem.draws, schedule.inner_steps

    def inner(potential: Parameters, gamma: Any, carry: tuple, batch: tuple) -> tuple[tuple, dict]:
        own, state = carry
        gradients, parts = jax.grad(problem.map_loss, has_aux=True)(own, potential, *batch, gamma)
        changes, state = optimisers.map.update(gradients, state, own)
        return (optax.apply_updates(own, changes), state), parts

    def step(carry: tuple, key: Array) -> tuple[tuple, dict[str, Array]]:
        parameters, states, averaged, t = carry
        x_key, y_key, z_key = jax.random.split(key, 3)
        # All points and all noise of the step at once: every draw of its own takes long to compile.
        x, y = jax.vmap(source)(jax.random.split(x_key, updates + 1)), target(y_key)
        m = x.shape[1]
        z = problem.noise_scale * jax.random.normal(z_key, (m, updates * k + 1, problem.noise))
        own_z = z[:, 1:].reshape(m, updates, k, problem.noise).swapaxes(0, 1)
        gamma = schedule.gamma(problem.gamma, t)
        (own, state), parts = jax.lax.scan(
            partial(inner, parameters.potential, gamma),
            (parameters.map, states.map),
            (x[1:], own_z),
        )
        moved = problem.carry(own, x[0], z[:, :1])[:, 0]
        gradient = jax.grad(problem.potential_loss)(parameters.potential, moved, y, schedule.r1)
        changes, other = optimisers.potential.update(
            gradient, states.potential, parameters.potential
        )
        decay = jnp.minimum(schedule.averaging, t / (t + 1))
        averaged = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, averaged, own)
        told = {name: values.mean() for name, values in parts.items()} | {
            "potential": problem.potential_loss(parameters.potential, moved, y),
            "pushed_distance": _mean_distance(moved),
            "target_distance": _mean_distance(y),
        }
        potential = optax.apply_updates(parameters.potential, changes)
        return (Pair(own, potential), Pair(state, other), averaged, t + 1), told

    return step


def train(
    problem: Problem,
    parameters: Pair,
    source: Sampler,
    target: Sampler,
    schedule: Schedule,
    key: Array,
    report_every: int = 50,
) -> Iterator[Report]:
    """Train, ``report_every`` compiled steps at a time.

    Parameters
    ----------
    problem : Problem
    parameters : Pair
        Where to start.
    source, target : callable
        Draw fresh batches (m, d) from the two laws.
    schedule : Schedule
    key : Array
        A JAX random key, from which every batch and all noise is drawn.
    report_every : int

    Yields
    ------
    Report
        A caller may stop here.

    Raises
    ------
    ValueError
        If a sampler's batches are not as they should be.
    FloatingPointError
        If L_f is not finite or beyond `LIMIT`: training has diverged.
    """
    check_samplers(source, target, key)
    optimisers = schedule.optimisers()
    run = jax.jit(partial(jax.lax.scan, outer_step(problem, schedule, source, target)))
    states = Pair(
        optimisers.map.init(parameters.map), optimisers.potential.init(parameters.potential)
    )
    carry = (parameters, states, parameters.map, jnp.zeros(()))
    keys = jax.random.split(key, schedule.steps)
    for first in range(0, schedule.steps, report_every):
        carry, told = run(carry, keys[first : first + report_every])
        losses = np.asarray(told["potential"])
        _check_losses(losses, first)
        parts = {name: float(np.mean(values)) for name, values in told.items()}
        pushed, reached = parts.pop("pushed_distance"), parts.pop("target_distance")
        parts["spread"] = pushed / reached if reached else 1.0
        yield Report(first + len(losses), carry[0], carry[2], losses, parts)


def _check_losses(losses: np.ndarray, first: int) -> None:
    bad = np.flatnonzero(~(np.abs(losses) <= LIMIT))
    if len(bad):
        raise FloatingPointError(
            f"training diverged: the potential's loss became {losses[bad[0]]:.3g} at step "
            f"{first + bad[0] + 1}"
        )
