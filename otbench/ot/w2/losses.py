r"""The Wasserstein-2 dual and the four ways to amortize its conjugate (Amos 2023).

With a potential f on the source, J(x; y) = f(x) - <x, y> and f*(y) = -min_x J(x; y), the dual is

.. math:: L_D = E f(X) + E[\langle \hat x, Y \rangle - f(\hat x)], \quad
          \hat x \approx \arg\min_x J(x; Y),

minimised over f; the map is grad f. The minimiser is solved for, starting at the prediction h(Y),
or is the prediction itself; it is held constant (Danskin). Formulas follow arXiv 2210.12153,
section 3, and its release; the batches are x from the source and y from the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import gradient_of
from otbench.ot.training import Parts
from otbench.ot.w2.conjugate import Conjugate, Solver
from otbench.ot.w2.lbfgs import LBFGS
from otbench.ot.w2.network import Network, Parameters

Amortization = Literal["objective", "regression", "cycle", "none"]


class DualParameters(NamedTuple):
    """Parameters of the potential f and of the amortizer h, empty if there is no amortizer."""

    potential: Parameters
    amortizer: Parameters


def dual_loss(potential: Network, parameters: Parameters, x: Array, y: Array, at: Array) -> Array:
    """Return the dual of one batch, given the maximisers ``at`` that f* is evaluated with.

    Both terms are evaluated as one batch.
    """
    values = potential.apply(parameters, jnp.concatenate([x, at]))
    conjugates = jnp.sum(at * y, axis=1) - values[len(x) :]
    return jnp.mean(values[: len(x)]) + jnp.mean(conjugates)


def objective_loss(potential: Network, parameters: Parameters, y: Array, predicted: Array) -> Array:
    """Return E J(h(y); y), the objective of the prediction; f is held constant."""
    values = potential.apply(jax.lax.stop_gradient(parameters), predicted)
    return jnp.mean(values - jnp.sum(predicted * y, axis=1))


def regression_loss(predicted: Array, solution: Array) -> Array:
    """Return the squared distance to the solved points, a mean over batch and coordinates."""
    return jnp.mean((predicted - jax.lax.stop_gradient(solution)) ** 2)


def cycle_loss(potential: Network, parameters: Parameters, y: Array, predicted: Array) -> Array:
    """Return the first-order condition's square, a mean over batch and coordinates of
    (grad f(h(y)) - y)^2.
    """  # noqa: D205
    return jnp.mean((gradient_of(partial(potential.apply, parameters))(predicted) - y) ** 2)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["solver"],
    meta_fields=["potential", "amortizer", "amortization", "cycle_weight", "shared_start"],
)
@dataclass(frozen=True)
class DualLoss:
    """The loss of one joint step of potential and amortizer.

    Attributes
    ----------
    potential : Network
    amortizer : Network or None
        None predicts y itself and learns nothing.
    amortization : {"objective", "regression", "cycle", "none"}
    solver : Solver or None
        Refines the prediction; None uses it as it is.
    cycle_weight : float or None
        Weight of the cycle loss; by default the dimension, as in the release (1e4 for images).
    shared_start : bool
        Initialise the amortizer with the potential's parameters, as the release does if both are
        networks of the same kind.

    Notes
    -----
    The cycle loss without a solver is W2GN (Korotin et al. 2019): its two terms,
    (grad f(h(y)) - y)^2 and (h(grad f(x)) - x)^2, also train f. With a solver only the first term
    is used, and f is held constant in it.

    Raises
    ------
    ValueError
        If regression is asked for without a solver, a loss without an amortizer, nothing to solve
        with at all, or networks of different dimensions.
    """

    potential: Network
    amortizer: Network | None
    amortization: Amortization = "regression"
    solver: Solver | None = LBFGS()  # noqa: RUF009
    cycle_weight: float | None = None
    shared_start: bool = False

    def __post_init__(self) -> None:
        if self.amortization not in ("objective", "regression", "cycle", "none"):
            raise ValueError(
                f"amortization must be objective, regression, cycle or none, "
                f"got {self.amortization!r}"
            )
        if self.solver is None and self.amortization in ("regression", "none"):
            raise ValueError(
                f"amortization {self.amortization!r} needs a conjugate solver: without one there "
                f"is no solution to learn from"
            )
        if self.amortizer is None and self.amortization != "none":
            raise ValueError(f"amortization {self.amortization!r} needs an amortizer to train")
        if self.amortizer is not None and self.amortizer.dimension != self.potential.dimension:
            raise ValueError(
                f"the potential is of dimension {self.potential.dimension}, "
                f"the amortizer of {self.amortizer.dimension}"
            )

    def init(self, key: Array, sample: Array) -> DualParameters:
        """Initialise both networks; data-dependent initialisations use the sample (m, n)."""
        first, second = jax.random.split(key)
        potential = self.potential.init(first, sample)
        if self.amortizer is None:
            return DualParameters(potential, {})
        if self.shared_start:
            return DualParameters(potential, dict(potential))
        return DualParameters(potential, self.amortizer.init(second, sample))

    def project(self, parameters: DualParameters) -> DualParameters:
        """Restore the convexity of the potential after an update."""
        return parameters._replace(potential=self.potential.project(parameters.potential))

    def predict(self, parameters: DualParameters, y: Array) -> Array:
        """Predict the maximisers of the conjugate at y (m, n)."""
        return y if self.amortizer is None else self.amortizer.apply(parameters.amortizer, y)

    def solve(self, parameters: DualParameters, y: Array, predicted: Array) -> Conjugate:
        """Refine the prediction, all held constant."""
        f = partial(self.potential.apply, jax.lax.stop_gradient(parameters.potential))
        start = jax.lax.stop_gradient(predicted)
        if self.solver is None:
            residual = jnp.max(jnp.abs(gradient_of(f)(start) - y), axis=1)
            return Conjugate(start, residual, jnp.zeros(len(y), jnp.int32))
        return jax.lax.stop_gradient(self.solver(f, y, start))

    def __call__(self, parameters: DualParameters, x: Array, y: Array) -> tuple[Array, Parts]:
        """Return the loss of one batch and its parts.

        Returns
        -------
        loss : Array, scalar
        parts : dict of Array, scalars
            ``dual``, ``amortization`` (0 for none), ``residual_50``, ``residual_90``,
            ``residual_max`` (quantiles over the batch of the largest entry of
            ``|grad f(x_hat) - y|``), ``iterations`` (mean) and ``iterations_max``.
        """
        predicted = self.predict(parameters, y)
        found = self.solve(parameters, y, predicted)
        dual = dual_loss(self.potential, parameters.potential, x, y, found.points)
        amortization = self._amortize(parameters, x, y, predicted, found.points)
        quantiles = jnp.quantile(found.residual, jnp.asarray([0.5, 0.9, 1.0]))
        parts = {
            "dual": dual,
            "amortization": amortization,
            **dict(zip(("residual_50", "residual_90", "residual_max"), quantiles, strict=True)),
            "iterations": jnp.mean(found.iterations.astype(y.dtype)),
            "iterations_max": jnp.max(found.iterations).astype(y.dtype),
        }
        return dual + amortization, parts

    def _amortize(
        self, parameters: DualParameters, x: Array, y: Array, predicted: Array, solution: Array
    ) -> Array:
        if self.amortization == "none":
            return jnp.zeros((), y.dtype)
        if self.amortization == "regression":
            return regression_loss(predicted, solution)
        if self.amortization == "objective":
            return objective_loss(self.potential, parameters.potential, y, predicted)
        weight = self.potential.dimension if self.cycle_weight is None else self.cycle_weight
        if self.solver is not None:
            frozen = jax.lax.stop_gradient(parameters.potential)
            return weight * cycle_loss(self.potential, frozen, y, predicted)
        forth = gradient_of(partial(self.potential.apply, parameters.potential))(x)
        back = jnp.mean((self.predict(parameters, forth) - x) ** 2)
        return weight * (cycle_loss(self.potential, parameters.potential, y, predicted) + back)
