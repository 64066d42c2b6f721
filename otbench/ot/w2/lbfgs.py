"""L-BFGS with a parallel Armijo search as a conjugate solver (Amos 2023, release)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import Potential, dot, value_and_gradient
from otbench.ot.w2.cascade import SMALLEST, Advance, Rows, first_true, take, unfinished, where_rows
from otbench.ot.w2.conjugate import Solver

ARMIJO = 1e-4
"""Share of the linear decrease that a step must achieve (Amos 2023, release)."""

SHRINK = 1.5
"""Ratio of one candidate step to the next (Amos 2023, release)."""

ROUNDING = 10.0
"""Apparent increase of J, in machine epsilons of its two terms, that a step may have if its
slopes show that it descends."""

APPROXIMATE = 0.8
"""Near the optimum rounding hides the true decrease of the value. A step is then accepted by its
slopes, J'(1) <= -0.8 J'(0): the approximate Armijo condition of Hager & Zhang 2005, delta 0.1."""

INTERPOLATED = (0.1, 0.7)
"""Range in which a cubic's minimum is accepted, as a share of the step that failed."""

SEARCHED_AT_ONCE = 8
"""Fraction of the batch whose failed full steps are searched at a time."""


class _Memory(NamedTuple):
    """L-BFGS history of each point, a ring buffer whose newest slot is (step - 1) % memory."""

    value: Array  # (n,): of J
    scale: Array  # (n,): the inverse Hessian's guess is scale * identity
    fresh: Array  # (n,): the last search failed, and the memory was cleared
    moves: Array  # (n, memory, d)
    turns: Array  # (n, memory, d)
    inverse_curvature: Array  # (n, memory): 1 / <move, turn>, 0 where unusable


def _direction(gradient: Array, m: _Memory, step: Array) -> Array:
    """Descent directions by the two-loop recursion (Nocedal & Wright, algorithm 7.4).

    Only slots that have been filled are visited, so that early steps, which are all that training
    usually takes, do not pay for an empty memory.
    """
    slots = m.moves.shape[1]
    filled = jnp.minimum(step, slots)

    def back(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        q, weights = carry
        slot = (step - 1 - k) % slots
        weight = m.inverse_curvature[:, slot] * dot(m.moves[:, slot], q)
        return q - weight[:, None] * m.turns[:, slot], weights.at[slot].set(weight)

    def forth(k: Array, q: Array) -> Array:
        slot = (step - filled + k) % slots
        weight = m.inverse_curvature[:, slot] * dot(m.turns[:, slot], q)
        return q + (weights[slot] - weight)[:, None] * m.moves[:, slot]

    empty = jnp.zeros((slots, len(gradient)), gradient.dtype)
    q, weights = jax.lax.fori_loop(0, filled, back, (gradient, empty))
    return -jax.lax.fori_loop(0, filled, forth, m.scale[:, None] * q)


class _Trial(NamedTuple):
    """A trial step for each point, with J and its gradient after the step."""

    length: Array
    points: Array
    value: Array
    gradient: Array


class _Search(NamedTuple):
    """Starting point of a line search, rows first."""

    y: Array
    points: Array
    value: Array
    direction: Array
    slope: Array


def _passes(at: _Search, value: Array, end_slope: Array, length: Array | float) -> Array:
    """Return whether a step descends enough, by its value or, near the optimum, by its slopes."""
    product = dot(at.points, at.y)
    rounding = ROUNDING * jnp.finfo(at.y.dtype).eps
    slack = rounding * (jnp.abs(product) + jnp.abs(at.value + product))
    armijo = value <= at.value + ARMIJO * length * at.slope
    flat = (value <= at.value + slack) & (end_slope <= -APPROXIMATE * at.slope)
    return armijo | flat


def _interpolated(at: _Search, full: _Trial) -> Array:
    """Return the minimiser of the cubic with the values and slopes at both ends of the full step.

    Nocedal & Wright, equation 3.59, kept within `INTERPOLATED`.
    """
    end_slope = dot(full.gradient, at.direction)
    bend = at.slope + end_slope - 3 * (full.value - at.value)
    root = jnp.sqrt(jnp.maximum(bend**2 - at.slope * end_slope, 0.0))
    length = 1 - (end_slope + root - bend) / (end_slope - at.slope + 2 * root)
    least, most = INTERPOLATED
    return jnp.clip(jnp.where(jnp.isfinite(length), length, least), least, most)


def _in_parts(
    search: Callable[[_Search, _Trial], _Trial],
    at: _Search,
    trial: _Trial,
    unresolved: Array,
    evaluations: int = 1,
) -> tuple[_Trial, Array]:
    """Search steps for the unresolved rows, a few at a time; also return those still unresolved.

    Rows for which the search finds nothing get length 0. The more ``evaluations`` a search takes
    per row, the fewer rows are searched at a time.
    """
    few = max(len(at.y) // SEARCHED_AT_ONCE, min(len(at.y), SMALLEST))
    few = max(few // evaluations, 1)

    def take_up(carry: tuple[_Trial, Array]) -> tuple[_Trial, Array]:
        trial, todo = carry
        chosen = first_true(todo, few)
        before = take(trial, chosen)
        found = search(take(at, chosen), before)
        needed = todo[chosen]
        merged = jax.tree.map(
            lambda whole, new, old: whole.at[chosen].set(where_rows(needed, new, old)),
            trial,
            found,
            before,
        )
        return merged, todo.at[chosen].set(False)

    trial, _ = jax.lax.while_loop(lambda c: jnp.any(c[1]), take_up, (trial, unresolved))
    return trial, unresolved & (trial.length == 0)


def _shorten(
    potential: Potential, at: _Search, trial: _Trial, unresolved: Array, lengths: Array
) -> _Trial:
    """Search steps for the points whose full step fails.

    The first trial is the minimum of a cubic: one evaluation that usually succeeds (not in the
    release). All lengths are then tried at once for the remaining points. Points where every length
    fails get length 0.
    """

    def evaluate(part: _Search, length: Array) -> _Trial:
        points = part.points + length[:, None] * part.direction
        value, gradient = value_and_gradient(potential, points)
        return _Trial(length, points, value - dot(points, part.y), gradient - part.y)

    def interpolate(part: _Search, full: _Trial) -> _Trial:
        length = _interpolated(part, full)
        found = evaluate(part, length)
        passes = _passes(part, found.value, dot(found.gradient, part.direction), length)
        return found._replace(length=jnp.where(passes, length, 0.0))

    def try_all(part: _Search, _: _Trial) -> _Trial:
        few = len(part.y)
        steps = jnp.repeat(lengths, few)
        many = jax.tree.map(lambda a: jnp.tile(a, (len(lengths),) + (1,) * (a.ndim - 1)), part)
        value, end_slope = jax.jvp(
            lambda x: potential(x) - dot(x, many.y),
            (many.points + steps[:, None] * many.direction,),
            (many.direction,),
        )
        passing = _passes(many, value, end_slope, steps).reshape(len(lengths), few)
        best = lengths[jnp.argmax(passing, axis=0)]
        return evaluate(part, jnp.where(jnp.any(passing, axis=0), best, 0.0))

    trial, unresolved = _in_parts(interpolate, at, trial, unresolved)
    return _in_parts(try_all, at, trial, unresolved, len(lengths))[0]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["size"],
    meta_fields=["tolerance", "max_iterations", "memory", "candidates"],
)
@dataclass(frozen=True)
class LBFGS(Solver):
    """L-BFGS with a parallel Armijo search.

    Attributes
    ----------
    memory : int
        Number of pairs of differences that are kept.
    candidates : int
        Step lengths SHRINK^-k, k = 0, ..., candidates - 1, that are tried at once.
    """

    memory: int = 10
    candidates: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1 or self.candidates < 2:
            raise ValueError(
                f"memory must be at least 1 and candidates at least 2, got {self.memory} and "
                f"{self.candidates}"
            )

    def begin(
        self, potential: Potential, y: Array, value: Array
    ) -> tuple[tuple[Array, ...], Advance]:
        """Return the state of each row, and the step function.

        The full step is tried first, and others only if it fails. If all fail, the memory of the
        row is cleared and it goes on with a much shorter guess (the release stops there), until
        the guess is lost in rounding.
        """
        lengths = SHRINK ** -jnp.arange(self.candidates, dtype=y.dtype)
        epsilon = jnp.finfo(y.dtype).eps

        def advance(rows: Rows, step: Array) -> Rows:
            m = _Memory(*rows.extra)
            active = unfinished(rows, self.tolerance)
            direction = _direction(rows.gradient, m, step)
            slope = dot(rows.gradient, direction)
            ascends = slope >= 0
            direction = where_rows(ascends, -m.scale[:, None] * rows.gradient, direction)
            slope = jnp.where(ascends, dot(rows.gradient, direction), slope)

            at = _Search(rows.y, rows.points, m.value, direction, slope)
            points = rows.points + direction
            value, gradient = value_and_gradient(potential, points)
            value, gradient = value - dot(points, rows.y), gradient - rows.y
            trial = _Trial(jnp.ones_like(slope), points, value, gradient)
            good = _passes(at, value, dot(gradient, direction), 1.0)
            trial = _shorten(potential, at, trial, active & ~good, lengths[1:])

            moved = active & (trial.length > 0)
            failed = active & ~moved
            points = where_rows(moved, trial.points, rows.points)
            gradient = where_rows(moved, trial.gradient, rows.gradient)
            move, turn = points - rows.points, gradient - rows.gradient
            curvature, square = dot(move, turn), dot(turn, turn)
            usable = curvature > epsilon * square
            inverse = jnp.where(usable, 1 / jnp.where(usable, curvature, 1.0), 0.0)
            scale = jnp.where(usable, curvature / jnp.where(usable, square, 1.0), m.scale)
            slot = step % self.memory
            history = m.inverse_curvature.at[:, slot].set(inverse)
            memory = _Memory(
                jnp.where(moved, trial.value, m.value),
                jnp.where(failed, m.scale * lengths[-1] / SHRINK, scale),
                failed,
                m.moves.at[:, slot].set(move),
                m.turns.at[:, slot].set(turn),
                jnp.where(failed[:, None], 0.0, history),
            )
            return rows._replace(
                points=points,
                gradient=gradient,
                residual=jnp.where(moved, self.size(gradient), rows.residual),
                iterations=rows.iterations + active.astype(jnp.int32),
                stuck=failed & m.fresh & (memory.scale < epsilon),
                extra=tuple(memory),
            )

        n, d = y.shape
        extra = (
            value,
            jnp.ones(n, y.dtype),
            jnp.zeros(n, bool),
            jnp.zeros((n, self.memory, d), y.dtype),
            jnp.zeros((n, self.memory, d), y.dtype),
            jnp.zeros((n, self.memory), y.dtype),
        )
        return extra, advance
