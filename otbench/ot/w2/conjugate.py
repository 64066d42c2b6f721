r"""Convex conjugates of a batch of points: L-BFGS with a parallel Armijo search, and Adam.

Each row of y asks for the x with grad f(x) = y, the minimiser of J(x) = f(x) - <x, y> (Amos 2023,
arXiv 2210.12153, section 3.3 and release). Plain JAX under jit, on whatever device the arrays lie;
`otbench.ot.w2.cascade` is how finished points stop costing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import Potential, dot, value_and_gradient
from otbench.ot.w2 import adam, lbfgs
from otbench.ot.w2.cascade import Conjugate, Rows, cascade

__all__ = ["SOLVERS", "Conjugate", "Solver", "euclidean", "largest_entry"]


def largest_entry(residual: Array) -> Array:
    """Size of residuals (n, d) as the release measures it: the largest absolute entry."""
    return jnp.max(jnp.abs(residual), axis=-1)


def euclidean(residual: Array) -> Array:
    """Size of residuals (n, d) as OTT-JAX and jaxopt measure it."""
    return jnp.sqrt(jnp.sum(residual * residual, axis=-1))


@dataclass(frozen=True)
class Solver:
    """A conjugate solver and where it stops.

    Attributes
    ----------
    kind : {"lbfgs", "adam"}
    tolerance : float
        A point is finished when the size of its residual is at most this.
    max_iterations : int
        Steps at most; also the length of Adam's cosine.
    memory : int
        Pairs of differences that L-BFGS keeps.
    candidates : int
        Step lengths SHRINK^-k, k = 0, ..., candidates - 1, of the Armijo search.
    rate, last_rate : float
        Adam's at the start and the end of the cosine.
    size : callable
        Size (n,) of residuals (n, d).
    """

    kind: Literal["lbfgs", "adam"] = "lbfgs"
    tolerance: float = 0.1
    max_iterations: int = 100
    memory: int = 10
    candidates: int = 10
    rate: float = 0.1
    last_rate: float = 1e-5
    size: Callable[[Array], Array] = largest_entry

    def __post_init__(self) -> None:
        if self.kind not in ("lbfgs", "adam"):
            raise ValueError(f"kind must be 'lbfgs' or 'adam', got {self.kind!r}")
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be positive, got {self.tolerance}")
        if min(self.max_iterations, self.memory) < 1 or self.candidates < 2:
            raise ValueError(
                f"max_iterations and memory must be at least 1 and candidates at least 2, got "
                f"{self.max_iterations}, {self.memory} and {self.candidates}"
            )

    def __call__(self, potential: Potential, y: Array, start: Array) -> Conjugate:
        """Solve grad f(x) = y for every row of y.

        Parameters
        ----------
        potential : callable
            Differentiable, (n, d) to (n,) for any n, each value depending on its own row alone.
        y, start : Array, shape (n, d)
            Points to conjugate at, and first guesses.

        Returns
        -------
        Conjugate
            A point that is given up (no step descends, however short, as can be where f is not
            convex) or cut by ``max_iterations`` keeps its last iterate and its residual.

        Raises
        ------
        ValueError
            If y and start are not two batches of one shape.
        """
        if y.ndim != 2 or y.shape != start.shape:
            raise ValueError(
                f"y and start must both have shape (n, d), got {y.shape} and {start.shape}"
            )
        value, gradient = value_and_gradient(potential, start)
        gradient = gradient - y
        if self.kind == "adam":
            extra, advance = adam.begin(self, potential, y)
        else:
            extra, advance = lbfgs.begin(self, potential, y, value - dot(start, y))
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


SOLVERS: dict[str, Solver] = {
    "lbfgs": Solver("lbfgs", 0.1, 100),
    "lbfgs-high-precision": Solver("lbfgs", 1e-3, 100),
    "adam": Solver("adam", 0.1, 100),
}
"""The settings of Amos 2023's release. Its high-precision search tries up to 30 lengths one after
the other; ours tries ten at once and, where all fail, ten shorter ones from a fresh memory."""
