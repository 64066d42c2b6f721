"""Iteration on many points at once under jit, in which finished points cost nothing.

A vmapped loop runs as long as its slowest point. Here a loop over the whole batch runs until all
but a quarter of the points are finished. The unfinished ones are then gathered into arrays a
quarter of the size and go on alone, and so on down to `SMALLEST`. Shapes stay static, every size is
one more compiled loop, and the extra steps of slow points are taken for these points only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

SMALLEST = 32
"""Batches are not split below this size: a gradient at so few points costs about as much as at
one."""

QUARTER = 4
"""Inverse of the share of points that go on after a split."""

Data = TypeVar("Data")


class Conjugate(NamedTuple):
    """The result of a conjugate solver.

    Attributes
    ----------
    points : Array, shape (n, d)
        The maximisers, where grad f(points) is y.
    residual : Array, shape (n,)
        Size of grad f(points) - y, as the solver measures it.
    iterations : Array, shape (n,), int32
        Number of steps that each point took.
    """

    points: Array
    residual: Array
    iterations: Array


class Rows(NamedTuple):
    """State of the iteration, one row per point.

    Attributes
    ----------
    y, points : Array, shape (n, d)
    gradient : Array, shape (n, d)
        Of J at the points.
    residual : Array, shape (n,)
    iterations : Array, shape (n,), int32
    stuck : Array, shape (n,), bool
        Whether the point is given up, because no step of any length improves it.
    extra : tuple of Array
        State of the particular solver, rows first.
    """

    y: Array
    points: Array
    gradient: Array
    residual: Array
    iterations: Array
    stuck: Array
    extra: tuple[Array, ...]


Advance = Callable[[Rows, Array], Rows]
"""Takes one step with all unfinished rows, given the number of steps done."""


def unfinished(rows: Rows, tolerance: float) -> Array:
    """Return which rows go on."""
    return (rows.residual > tolerance) & ~rows.stuck


def take(data: Data, order: Array) -> Data:
    """Take rows of every array."""
    return jax.tree.map(lambda a: a[order], data)


def first_true(chosen: Array, count: int) -> Array:
    """Return ``count`` indices, those of True entries first.

    It selects the largest entries, because a sort takes five times as long on a CPU.
    """
    return jax.lax.top_k(chosen.astype(jnp.float32), count)[1]


def where_rows(chosen: Array, new: Array, old: Array) -> Array:
    """Choose between arrays row by row."""
    return jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def cascade(advance: Advance, rows: Rows, tolerance: float, max_iterations: int) -> Conjugate:
    """Advance the rows until all are finished, in ever smaller batches."""
    index = jnp.arange(len(rows.y))
    found = Conjugate(rows.points, rows.residual, rows.iterations)
    step = jnp.zeros((), jnp.int32)
    while True:
        rest = len(rows.y) // QUARTER if len(rows.y) // QUARTER >= SMALLEST else 0

        def crowded(carry: tuple[Rows, Array], rest: int = rest) -> Array:
            rows, step = carry
            return (step < max_iterations) & (jnp.sum(unfinished(rows, tolerance)) > rest)

        def once(carry: tuple[Rows, Array]) -> tuple[Rows, Array]:
            rows, step = carry
            return advance(rows, step), step + 1

        rows, step = jax.lax.while_loop(crowded, once, (rows, step))
        found = Conjugate(
            found.points.at[index].set(rows.points),
            found.residual.at[index].set(rows.residual),
            found.iterations.at[index].set(rows.iterations),
        )
        if not rest:
            return found
        late = first_true(unfinished(rows, tolerance), rest)
        rows, index = take(rows, late), index[late]
