r"""Convex conjugates of many points at once, by L-BFGS with a parallel Armijo line search.

The conjugate of a potential f at y is f*(y) = max_x <x, y> - f(x); its gradient is the maximiser,
the x with grad f(x) = y, so that conjugating inverts the map grad f. The solver minimises
J(x) = f(x) - <x, y> for a whole batch (Amos 2023, arXiv 2210.12153, section 3.3 and the release's
parallel Armijo search). Plain JAX, on whatever device the arrays lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

Potential = Callable[[Array], Array]
"""Maps points (n, d) to values (n,)."""

ARMIJO = 1e-4
"""Share of the linear decrease that a step must achieve (Amos 2023, release)."""

SHRINK = 1.5
"""Ratio of one candidate step to the next (Amos 2023, release)."""

ROUNDING = 10.0
"""Machine epsilons of the two terms of J that a step may seem to rise by, where its slopes
tell that it descends."""

APPROXIMATE = 0.8
"""Near the optimum the true decrease drowns in the rounding of the value; a step then passes by its
slopes, J'(1) <= -0.8 J'(0): the approximate Armijo condition of Hager & Zhang 2005, delta 0.1."""


class Conjugate(NamedTuple):
    """What the solver found.

    Attributes
    ----------
    points : Array, shape (n, d)
        The maximisers, where grad f(points) is y.
    residual : Array, shape (n,)
        Largest entry of ``|grad f(points) - y|``, after the change of basis if one was given.
    iterations : Array, shape (n,), int32
        Steps each point took.
    """

    points: Array
    residual: Array
    iterations: Array


class _State(NamedTuple):
    points: Array
    value: Array
    gradient: Array
    residual: Array
    moves: Array  # (memory, n, d): last differences of points, newest first
    turns: Array  # (memory, n, d): last differences of gradients
    inverse_curvature: Array  # (memory, n): 1 / <move, turn>, 0 where unusable
    scale: Array  # (n,): the inverse Hessian's guess is scale * identity
    iterations: Array
    step: Array


def gradient_of(potential: Potential) -> Callable[[Array], Array]:
    """Return the map grad f, (n, d) to (n, d), of a batched potential."""
    return lambda x: _value_and_gradient(potential, x)[1]


def _value_and_gradient(potential: Potential, x: Array) -> tuple[Array, Array]:
    value, pullback = jax.vjp(potential, x)
    return value, pullback(jnp.ones_like(value))[0]


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=-1)


def _direction(state: _State) -> Array:
    """Descent directions by the two-loop recursion (Nocedal & Wright, algorithm 7.4)."""
    q = state.gradient
    weights = []
    memory = len(state.moves)
    for k in range(memory):
        weight = state.inverse_curvature[k] * _dot(state.moves[k], q)
        q = q - weight[:, None] * state.turns[k]
        weights.append(weight)
    q = state.scale[:, None] * q
    for k in reversed(range(memory)):
        back = state.inverse_curvature[k] * _dot(state.turns[k], q)
        q = q + (weights[k] - back)[:, None] * state.moves[k]
    return -q


def conjugate(
    potential: Potential,
    y: Array,
    start: Array,
    *,
    tolerance: float,
    max_iterations: int | Array,
    memory: int = 5,
    candidates: int = 10,
    change_basis: Callable[[Array], Array] = lambda r: r,
) -> Conjugate:
    r"""Solve grad f(x) = y for every row of y.

    Parameters
    ----------
    potential : callable
        Convex and differentiable, (n, d) to (n,), each value depending on its own row alone.
    y, start : Array, shape (n, d)
        Points to conjugate at, and first guesses.
    tolerance : float
        A point is finished when no entry of its residual exceeds this.
    max_iterations : int
        Steps at most; one step costs one gradient, unless the full step fails for some point.
    memory : int
        Pairs of differences kept, at least 1.
    candidates : int
        Steps SHRINK^-k, k = 0, ..., candidates - 1, of which the largest that satisfies Armijo's
        condition is taken. The full step is tried first; the others, all at once, only when it
        fails for an unfinished point.
    change_basis : callable
        Linear map of residuals (n, d) before their size is taken, for a potential given in scaled
        coordinates. The identity by default.

    Returns
    -------
    Conjugate

    Notes
    -----
    Where all candidates fail, a point stays, forgets its memory and tries a much shorter step
    next; the release stops there. A finished point is no longer moved but still computed;
    `otbench.ot.amortized_map` takes the finished ones out between two rounds.
    """
    epsilon = jnp.finfo(y.dtype).eps
    lengths = SHRINK ** -jnp.arange(candidates, dtype=y.dtype)

    def objective(x: Array) -> Array:
        return potential(x) - _dot(x, y)

    def size(residual: Array) -> Array:
        return jnp.max(jnp.abs(change_basis(residual)), axis=-1)

    def step(state: _State) -> _State:
        active = state.residual > tolerance
        direction = _direction(state)
        slope = _dot(state.gradient, direction)
        bad = slope >= 0
        direction = jnp.where(bad[:, None], -state.scale[:, None] * state.gradient, direction)
        slope = jnp.where(bad, _dot(state.gradient, direction), slope)
        product = _dot(state.points, y)
        slack = ROUNDING * epsilon * (jnp.abs(product) + jnp.abs(state.value + product))

        def passes(value: Array, end_slope: Array, length: Array) -> Array:
            armijo = value <= state.value + ARMIJO * length * slope
            flat = (value <= state.value + slack) & (end_slope <= -APPROXIMATE * slope)
            return armijo | flat

        def full(_: None) -> tuple[Array, Array, Array, Array]:
            return jnp.ones_like(slope), full_points, full_value, full_gradient

        def shortened(_: None) -> tuple[Array, Array, Array, Array]:
            def probe(length: Array) -> Array:
                value, end_slope = jax.jvp(
                    objective, (state.points + length * direction,), (direction,)
                )
                return passes(value, end_slope, length)

            passing = jax.lax.map(probe, lengths)
            best = jnp.argmax(passing, axis=0)
            length = jnp.where(jnp.any(passing, axis=0), lengths[best], 0.0)
            points = state.points + length[:, None] * direction
            return length, points, *_value_and_gradient(objective, points)

        full_points = state.points + direction
        full_value, full_gradient = _value_and_gradient(objective, full_points)
        good = passes(full_value, _dot(full_gradient, direction), jnp.ones_like(slope))
        length, points, value, gradient = jax.lax.cond(
            jnp.all(good | ~active), full, shortened, None
        )

        moved = active & (length > 0)
        failed = active & ~moved
        keep = moved[:, None]
        points = jnp.where(keep, points, state.points)
        value = jnp.where(moved, value, state.value)
        gradient = jnp.where(keep, gradient, state.gradient)
        move, turn = points - state.points, gradient - state.gradient
        curvature = _dot(move, turn)
        usable = curvature > epsilon * _dot(turn, turn)
        inverse = jnp.where(usable, 1 / jnp.where(usable, curvature, 1.0), 0.0)
        scale = jnp.where(usable, curvature / jnp.maximum(_dot(turn, turn), 1e-30), state.scale)
        scale = jnp.where(failed, state.scale * lengths[-1] / SHRINK, scale)
        history = jnp.where(failed, 0.0, jnp.roll(state.inverse_curvature, 1, 0).at[0].set(inverse))
        return _State(
            points,
            value,
            gradient,
            jnp.where(moved, size(gradient), state.residual),
            jnp.roll(state.moves, 1, 0).at[0].set(move),
            jnp.roll(state.turns, 1, 0).at[0].set(turn),
            history,
            scale,
            state.iterations + active,
            state.step + 1,
        )

    def unfinished(state: _State) -> Array:
        return (state.step < max_iterations) & jnp.any(state.residual > tolerance)

    value, gradient = _value_and_gradient(objective, start)
    n, _ = y.shape
    empty = jnp.zeros((memory, *y.shape), y.dtype)
    state = jax.lax.while_loop(
        unfinished,
        step,
        _State(
            start,
            value,
            gradient,
            size(gradient),
            empty,
            empty,
            jnp.zeros((memory, n), y.dtype),
            jnp.ones(n, y.dtype),
            jnp.zeros(n, jnp.int32),
            jnp.zeros((), jnp.int32),
        ),
    )
    return Conjugate(state.points, state.residual, state.iterations)
