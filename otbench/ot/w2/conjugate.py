r"""Convex conjugates of a batch of points.

For each row y the solvers find the x with grad f(x) = y, the minimiser of J(x) = f(x) - <x, y>
(Amos 2023, arXiv 2210.12153, section 3.3 and release). They are plain JAX under jit and run on the
device of the arrays; `otbench.ot.w2.cascade` saves the work of finished points.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp
from jax import Array
from jax.tree_util import Partial

from otbench.ot.gradients import Potential, dot, value_and_gradient
from otbench.ot.w2.cascade import Advance, Conjugate, Rows, cascade

__all__ = ["Conjugate", "Solver", "euclidean", "largest_entry"]


def largest_entry(residual: Array) -> Array:
    """Size of residuals (n, d) as in the release: the largest absolute entry."""
    return jnp.max(jnp.abs(residual), axis=-1)


def euclidean(residual: Array) -> Array:
    """Size of residuals (n, d) as OTT-JAX and jaxopt measure it."""
    return jnp.sqrt(jnp.sum(residual * residual, axis=-1))


@dataclass(frozen=True)
class Solver(ABC):
    """A conjugate solver and its stopping rule; a subclass is one algorithm.

    Attributes
    ----------
    tolerance : float
        A point is finished when the size of its residual is at most this.
    max_iterations : int
        Largest number of steps.
    size : callable
        A `jax.tree_util.Partial` that maps residuals (n, d) to their sizes (n,).
    """

    tolerance: float = 0.1
    max_iterations: int = 100
    size: Callable[[Array], Array] = field(default=Partial(largest_entry), kw_only=True)

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be positive, got {self.tolerance}")
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations must be at least 1, got {self.max_iterations}")

    @abstractmethod
    def begin(
        self, potential: Potential, y: Array, value: Array
    ) -> tuple[tuple[Array, ...], Advance]:
        """Return the algorithm's state of each row, and its step function.

        Parameters
        ----------
        potential : callable
        y : Array, shape (n, d)
        value : Array, shape (n,)
            J at the first guesses.
        """

    def __call__(self, potential: Potential, y: Array, start: Array) -> Conjugate:
        """Solve grad f(x) = y for every row of y.

        Parameters
        ----------
        potential : callable
            Differentiable, (n, d) to (n,) for any n; each value depends on its own row only.
        y, start : Array, shape (n, d)
            Points to conjugate at, and first guesses.

        Returns
        -------
        Conjugate
            A point keeps its last iterate and residual if ``max_iterations`` ends its search or if
            it is given up because no step descends, however short, as may happen if f is not
            convex.

        Raises
        ------
        ValueError
            If y and start are not two batches of the same shape.
        """
        if y.ndim != 2 or y.shape != start.shape:
            raise ValueError(
                f"y and start must both have shape (n, d), got {y.shape} and {start.shape}"
            )
        value, gradient = value_and_gradient(potential, start)
        gradient = gradient - y
        extra, advance = self.begin(potential, y, value - dot(start, y))
        rows = Rows(
            y,
            start,
            gradient,
            self.size(gradient),
            jnp.zeros(len(y), jnp.int32),
            jnp.zeros(len(y), bool),
            extra,
        )
        return cascade(advance, rows, self.tolerance, self.max_iterations)
