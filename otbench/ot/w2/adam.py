"""Adam with a cosine learning rate as a conjugate solver (Amos 2023, release)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import Potential, value_and_gradient
from otbench.ot.w2.cascade import Advance, Rows, unfinished, where_rows
from otbench.ot.w2.conjugate import Solver


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["size"],
    meta_fields=["tolerance", "max_iterations", "lr", "last_lr"],
)
@dataclass(frozen=True)
class Adam(Solver):
    """Adam with betas 0.9 and 0.999 and one learning rate for all points.

    Attributes
    ----------
    lr, last_lr : float
        Learning rate at the start and the end of a cosine over ``max_iterations`` steps.
    """

    lr: float = 0.1
    last_lr: float = 1e-5

    def begin(
        self, potential: Potential, y: Array, value: Array
    ) -> tuple[tuple[Array, ...], Advance]:
        """Return both moments of each row, and the step; see `Solver.begin`."""

        def advance(rows: Rows, step: Array) -> Rows:
            active = unfinished(rows, self.tolerance)
            first, second = rows.extra
            first = 0.9 * first + 0.1 * rows.gradient
            second = 0.999 * second + 0.001 * rows.gradient**2
            t = (step + 1).astype(y.dtype)
            cosine = 0.5 * (1 + jnp.cos(jnp.pi * step.astype(y.dtype) / self.max_iterations))
            rate = self.last_lr + (self.lr - self.last_lr) * cosine
            update = first / (1 - 0.9**t) / (jnp.sqrt(second / (1 - 0.999**t)) + 1e-8)
            points = where_rows(active, rows.points - rate * update, rows.points)
            gradient = value_and_gradient(potential, points)[1] - rows.y
            return rows._replace(
                points=points,
                gradient=gradient,
                residual=jnp.where(active, self.size(gradient), rows.residual),
                iterations=rows.iterations + active.astype(jnp.int32),
                extra=(first, second),
            )

        return (jnp.zeros_like(y), jnp.zeros_like(y)), advance
