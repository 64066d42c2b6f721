"""A trained potential as a map between two laws, on torch tensors.

The map is grad f. Its inverse is the solution of grad f(x) = y, which `BrenierMap` predicts and
then solves for from the prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np
from jax import Array
from torch import Tensor

from otbench.ot.gradients import gradient_of
from otbench.ot.torch_bridge import check_batch, in_buckets, to_jax, to_torch
from otbench.ot.w2.cascade import Conjugate
from otbench.ot.w2.conjugate import Solver
from otbench.ot.w2.enot import ExpectileLoss, PairParameters
from otbench.ot.w2.losses import DualLoss, DualParameters
from otbench.ot.w2.network import Network
from otbench.ot.w2.saved_parameters import checked_parameters, named_arrays
from otbench.ot.w2.scores import dual_to_half_squared_w2

Tree = TypeVar("Tree", DualParameters, PairParameters)


class View(NamedTuple, Generic[Tree]):
    """How a trained pair of networks is interpreted as a map.

    Attributes
    ----------
    kind : type
        The named tuple of the parameters, one flat dictionary per network.
    networks : tuple of Network or None
        One for each field of ``kind``, the potential f first; None has no parameters.
    predict : callable
        Maps networks, parameters and y (m, n) to a guess (m, n) at the solution of grad f(x) = y.
    """

    kind: type[Tree]
    networks: tuple[Network | None, ...]
    predict: Callable[[Any, Any, Array], Array]


def dual_view(loss: DualLoss) -> View[DualParameters]:
    """View a potential and an amortizer, where the amortizer predicts."""
    return View(DualParameters, (loss.potential, loss.amortizer), _by_amortizer)


def pair_view(loss: ExpectileLoss) -> View[PairParameters]:
    """View the potentials f of the source and g of the target, where grad g predicts."""
    return View(PairParameters, (loss.f, loss.g), by_gradient)


def _by_amortizer(networks: Any, parameters: DualParameters, y: Array) -> Array:
    amortizer = networks[1]
    return y if amortizer is None else amortizer.apply(parameters.amortizer, y)


def by_gradient(networks: Any, parameters: Any, y: Array) -> Array:
    """Predict by the gradient of the second network, a potential of the target."""
    return gradient_of(partial(networks[1].apply, parameters[1]))(y)


# Compiled for a view, which is static, and not for a map, so that maps of one form share the code.


def _potential(view: View[Any], parameters: Any) -> Callable[[Array], Array]:
    network = view.networks[0]
    assert network is not None
    return partial(network.apply, parameters[0])


@partial(jax.jit, static_argnums=0)
def _push(view: View[Any], parameters: Any, x: Array) -> tuple[Array]:
    return (gradient_of(_potential(view, parameters))(x),)


@partial(jax.jit, static_argnums=0)
def _predict(view: View[Any], parameters: Any, y: Array) -> tuple[Array]:
    return (view.predict(view.networks, parameters, y),)


@partial(jax.jit, static_argnums=0)
def _evaluate(view: View[Any], parameters: Any, x: Array) -> tuple[Array]:
    return (_potential(view, parameters)(x),)


@partial(jax.jit, static_argnums=0)
def _solve(view: View[Any], parameters: Any, y: Array, solver: Solver) -> Conjugate:
    guess = view.predict(view.networks, parameters, y)
    return solver(_potential(view, parameters), y, guess)


class BrenierMap(Generic[Tree]):
    """The map of a potential, on torch tensors of any device; batches of any size.

    Parameters
    ----------
    view : View
    parameters : tree
    solver : Solver
        Solver for the inverse and the dual value.
    """

    def __init__(self, view: View[Tree], parameters: Tree, solver: Solver) -> None:
        network = view.networks[0]
        assert network is not None
        self.view: View[Tree] = view
        self.parameters: Tree = parameters
        self.solver = solver
        self.dimension = network.dimension

    def push(self, x: Tensor) -> Tensor:
        """Carry points of the source by grad f, (m, n) to (m, n)."""
        (moved,) = self._batched(_push, self._rows(x))
        return to_torch(moved, x.device)

    def evaluate(self, x: Tensor) -> Tensor:
        """Evaluate the potential f, points (m, n) to values (m,)."""
        (values,) = self._batched(_evaluate, self._rows(x))
        return to_torch(values, x.device)

    def predict(self, y: Tensor) -> Tensor:
        """Predict the preimages of points of the target, (m, n) to (m, n)."""
        (points,) = self._batched(_predict, self._rows(y))
        return to_torch(points, y.device)

    def solve(self, y: Tensor) -> Tensor:
        """Solve for the preimages of points of the target, (m, n) to (m, n)."""
        return to_torch(self.conjugate(y).points, y.device)

    def conjugate(self, y: Tensor) -> Conjugate:
        """Solve grad f(x) = y from the prediction, for points (m, n), and return the residuals."""
        return Conjugate(*self._batched(partial(_solve, solver=self.solver), self._rows(y)))

    def half_squared_w2(self, x: Tensor, y: Tensor, solved: bool = True) -> float:
        r"""Estimate half the squared distance by the dual, from samples x, y of the two laws.

        .. math:: \tfrac12 E\|X\|^2 + \tfrac12 E\|Y\|^2 - E f(X) - E[\langle \hat x, Y \rangle
                  - f(\hat x)]

        If \hat x is the conjugate's maximiser, this is a lower bound up to sampling error; a worse
        \hat x raises it.

        Parameters
        ----------
        x, y : Tensor, shape (m, n) and (k, n)
        solved : bool
            Whether \hat x is solved for or only predicted.
        """
        source, target = self._rows(x), self._rows(y)
        at = to_jax(self.solve(y) if solved else self.predict(y))
        (at_source,), (at_points,) = (self._batched(_evaluate, p) for p in (source, at))
        f, held, points, places = (
            np.asarray(a, np.float64) for a in (at_source, at_points, at, target)
        )
        dual = f.mean() + ((points * places).sum(axis=1) - held).mean()
        return dual_to_half_squared_w2(float(dual), np.asarray(source), np.asarray(target))

    def _batched(
        self, function: Callable[[View[Any], Any, Array], tuple], rows: Array
    ) -> tuple[Array, ...]:
        with jax.default_matmul_precision("highest"):
            return in_buckets(partial(function, self.view, self.parameters), rows)

    def _rows(self, x: Tensor) -> Array:
        check_batch(x, self.dimension)
        return to_jax(x)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the parameters by name, ``network.array``, to be saved."""
        return named_arrays(self.parameters)


def checked(arrays: dict[str, np.ndarray], view: View[Tree]) -> Tree:
    """Return the result of `BrenierMap.arrays` as the parameters of newly built networks.

    Raises
    ------
    ValueError
        If the arrays are parameters of other networks, not finite, or weights with which a convex
        potential would not be convex.
    """
    return checked_parameters(arrays, view.kind, view.networks)
