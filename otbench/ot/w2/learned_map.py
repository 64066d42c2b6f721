"""A trained potential as a map between two laws, from and to torch tensors.

The map is grad f; its inverse is the solution of grad f(x) = y, which `LearnedMap` predicts, and
solves for from there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, NamedTuple, TypeVar

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
from otbench.ot.w2.potentials import Network
from otbench.ot.w2.saved_parameters import checked_parameters, named_arrays
from otbench.ot.w2.scores import dual_to_half_squared_w2

Tree = TypeVar("Tree", DualParameters, PairParameters)


class View(NamedTuple, Generic[Tree]):
    """How a trained pair of networks is read as a map.

    Attributes
    ----------
    kind : type
        The named tuple of the parameters, one flat dictionary a network.
    networks : tuple of Network or None
        One for each field of ``kind``, the potential f first; None has no parameters.
    predict : callable
        From parameters and y (m, n) to a guess (m, n) at the solution of grad f(x) = y.
    """

    kind: type[Tree]
    networks: tuple[Network | None, ...]
    predict: Callable[[Tree, Array], Array]


def dual_view(loss: DualLoss) -> View[DualParameters]:
    """Read potential and amortizer: the amortizer predicts."""
    return View(DualParameters, (loss.potential, loss.amortizer), loss.predict)


def pair_view(loss: ExpectileLoss) -> View[PairParameters]:
    """Read the potentials of source and target: grad g predicts."""

    def predict(parameters: PairParameters, y: Array) -> Array:
        return gradient_of(partial(loss.g.apply, parameters.g))(y)

    return View(PairParameters, (loss.f, loss.g), predict)


class LearnedMap(Generic[Tree]):
    """The map of a potential, on torch tensors of any device; batches of any size.

    Parameters
    ----------
    view : View
    parameters : tree
    solver : Solver
        Of the inverse and of the dual value.
    """

    def __init__(self, view: View[Tree], parameters: Tree, solver: Solver) -> None:
        network = view.networks[0]
        assert network is not None
        self.view: View[Tree] = view
        self.parameters: Tree = parameters
        self.dimension = network.dimension

        def push(parameters: Tree, x: Array) -> tuple[Array]:
            return (gradient_of(partial(network.apply, parameters[0]))(x),)

        def predict(parameters: Tree, y: Array) -> tuple[Array]:
            return (view.predict(parameters, y),)

        def solve(parameters: Tree, y: Array) -> Conjugate:
            return solver(partial(network.apply, parameters[0]), y, view.predict(parameters, y))

        def evaluate(parameters: Tree, x: Array) -> tuple[Array]:
            return (network.apply(parameters[0], x),)

        self._push, self._predict, self._solve, self._evaluate = (
            jax.jit(function) for function in (push, predict, solve, evaluate)
        )

    def push(self, x: Tensor) -> Tensor:
        """Carry points of the source by grad f, (m, n) to (m, n)."""
        (moved,) = self._batched(self._push, self._rows(x))
        return to_torch(moved, x.device)

    def evaluate(self, x: Tensor) -> Tensor:
        """Evaluate the potential f, points (m, n) to values (m,)."""
        (values,) = self._batched(self._evaluate, self._rows(x))
        return to_torch(values, x.device)

    def predict(self, y: Tensor) -> Tensor:
        """Predict where points of the target come from, (m, n) to (m, n)."""
        (points,) = self._batched(self._predict, self._rows(y))
        return to_torch(points, y.device)

    def solve(self, y: Tensor) -> Tensor:
        """Solve for where points of the target come from, (m, n) to (m, n)."""
        return to_torch(self.conjugate(y).points, y.device)

    def conjugate(self, y: Tensor) -> Conjugate:
        """Solve grad f(x) = y from the prediction, for points (m, n); residuals come with it."""
        return Conjugate(*self._batched(self._solve, self._rows(y)))

    def half_squared_w2(self, x: Tensor, y: Tensor, solved: bool = True) -> float:
        r"""Estimate half the squared distance by the dual, from samples x, y of the two laws.

        .. math:: \tfrac12 E\|X\|^2 + \tfrac12 E\|Y\|^2 - E f(X) - E[\langle \hat x, Y \rangle
                  - f(\hat x)]

        A bound from below up to sampling, where \hat x is the conjugate's maximiser; a worse
        \hat x raises it.

        Parameters
        ----------
        x, y : Tensor, shape (m, n) and (k, n)
        solved : bool
            Take the solved \hat x, else the predicted one.
        """
        source, target = self._rows(x), self._rows(y)
        (at,) = self._batched(self._solve if solved else self._predict, target)[:1]
        (at_source,), (at_points,) = (self._batched(self._evaluate, p) for p in (source, at))
        f, held, points, places = (
            np.asarray(a, np.float64) for a in (at_source, at_points, at, target)
        )
        dual = f.mean() + ((points * places).sum(axis=1) - held).mean()
        return dual_to_half_squared_w2(float(dual), np.asarray(source), np.asarray(target))

    def _batched(self, function: Callable[[Tree, Array], tuple], rows: Array) -> tuple[Array, ...]:
        with jax.default_matmul_precision("highest"):
            return in_buckets(partial(function, self.parameters), rows)

    def _rows(self, x: Tensor) -> Array:
        check_batch(x, self.dimension)
        return to_jax(x)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the parameters by name, ``network.array``, to be saved."""
        return named_arrays(self.parameters)


def checked(arrays: dict[str, np.ndarray], view: View[Tree]) -> Tree:
    """Return what `LearnedMap.arrays` gave as the parameters of networks built anew.

    Raises
    ------
    ValueError
        If the arrays are parameters of other networks, not finite, or weights with which a convex
        potential would not be convex.
    """
    return checked_parameters(arrays, view.kind, view.networks)
