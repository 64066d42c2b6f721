"""Adam with a cosine rate as a conjugate solver (Amos 2023, release)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import Potential, value_and_gradient
from otbench.ot.w2.cascade import Advance, Rows, unfinished, where_rows

if TYPE_CHECKING:
    from otbench.ot.w2.conjugate import Solver


def begin(solver: Solver, potential: Potential, y: Array) -> tuple[tuple[Array, ...], Advance]:
    """Return what is kept of each row, and the step: decays 0.9 and 0.999, one rate for all."""

    def advance(rows: Rows, step: Array) -> Rows:
        active = unfinished(rows, solver.tolerance)
        first, second = rows.extra
        first = 0.9 * first + 0.1 * rows.gradient
        second = 0.999 * second + 0.001 * rows.gradient**2
        t = (step + 1).astype(y.dtype)
        cosine = 0.5 * (1 + jnp.cos(jnp.pi * step / solver.max_iterations))
        rate = solver.last_rate + (solver.rate - solver.last_rate) * cosine
        update = first / (1 - 0.9**t) / (jnp.sqrt(second / (1 - 0.999**t)) + 1e-8)
        points = where_rows(active, rows.points - rate * update, rows.points)
        gradient = value_and_gradient(potential, points)[1] - rows.y
        return rows._replace(
            points=points,
            gradient=gradient,
            residual=jnp.where(active, solver.size(gradient), rows.residual),
            iterations=rows.iterations + active,
            extra=(first, second),
        )

    return (jnp.zeros_like(y), jnp.zeros_like(y)), advance
