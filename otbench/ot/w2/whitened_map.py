r"""A trained Brenier map to N(0, I) and its inverse, on torch tensors.

The map is y = grad f(x) with f convex; the inverse solves grad f(x) = y from the amortizer's
prediction. Everything is trained and solved in `WhitenedCoordinates`, where the start is the
identity; tolerances are those of the target itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from jax.tree_util import Partial
from torch import Tensor

from otbench.ot.gaussian import WhitenedCoordinates
from otbench.ot.torch_bridge import SEEDS, check_batch, to_jax
from otbench.ot.training import Schedule, batches_from, batches_of
from otbench.ot.w2.banded_icnn import banded_icnn
from otbench.ot.w2.brenier_map import BrenierMap, dual_view
from otbench.ot.w2.conjugate import Conjugate, Solver, largest_entry
from otbench.ot.w2.losses import DualLoss, DualParameters
from otbench.ot.w2.mlp import residual_map
from otbench.ot.w2.saved_parameters import checked_parameters, named_arrays
from otbench.ot.w2.train import train

STATISTICS_SAMPLE = 2048
"""Number of points over which the units of the potential are normalised at the start."""

COORDINATES = ("mean", "axes", "spread")


def _own_size(spread: Array, axes: Array, residual: Array) -> Array:
    """Size of residuals in the target's own coordinates."""
    return largest_entry(residual / spread @ axes.T)


def _spread_normal(spread: Array, key: Array, n: int) -> Array:
    return jax.random.normal(key, (n, len(spread))) * spread


class WhitenedMap:
    """An optimal map from the law of some points to N(0, I).

    Parameters
    ----------
    coordinates : WhitenedCoordinates
    hidden, amortizer_hidden : tuple of int
        Widths of the potential's and the amortizer's layers.
    training, inverse : Solver
        Solvers of the conjugates in training and in `pull`. Their tolerance applies to the largest
        entry of ``|grad f(x) - y|`` in the target's own coordinates.
    """

    def __init__(
        self,
        coordinates: WhitenedCoordinates,
        hidden: tuple[int, ...],
        amortizer_hidden: tuple[int, ...],
        training: Solver,
        inverse: Solver,
    ) -> None:
        self.coordinates = coordinates
        self._tensors = [
            torch.from_numpy(np.array(getattr(coordinates, name), np.float32))
            for name in COORDINATES
        ]
        axes, spread = (jnp.asarray(a, jnp.float32) for a in (coordinates.axes, coordinates.spread))

        size = Partial(_own_size, spread, axes)
        n = len(spread)
        self.loss = DualLoss(
            banded_icnn(n, hidden),
            residual_map(n, amortizer_hidden, zero_start=True, scaled=True),
            "regression",
            replace(training, size=size),
        )
        self.map = BrenierMap(
            dual_view(self.loss),
            DualParameters({}, {}),
            replace(inverse, size=size),
        )

    def start(self, points: Tensor, seed: int) -> None:
        """Set the map to the closed-form Gaussian (Bures) map of the coordinates.

        Parameters
        ----------
        points : Tensor, shape (n, d)
            Points of the source; the potential's units are normalised over the first of them.
        seed : int
        """
        sample = to_jax(self._whitened(points[:STATISTICS_SAMPLE]))
        self.map.parameters = self.loss.init(jax.random.key(seed % SEEDS), sample)

    def _on(self, x: Tensor) -> list[Tensor]:
        """Check the points and return the coordinates on their device."""
        check_batch(x, len(self.coordinates.spread))
        return [tensor.to(x.device) for tensor in self._tensors]

    def _whitened(self, x: Tensor) -> Tensor:
        mean, axes, spread = self._on(x)
        return (x.float() - mean) @ axes / spread

    def train(
        self, points: Tensor, seed: int, schedule: Schedule, batch: int, report_every: int = 20
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Train on the points as the source; regularly yield the updates done and the losses.

        Parameters
        ----------
        points : Tensor, shape (n, d)
        seed : int
        schedule : Schedule
        batch : int
            Points of each side in one update.
        report_every : int

        Raises
        ------
        FloatingPointError
            If a parameter is no longer finite.
        """
        data = to_jax(self._whitened(points))
        spread = jnp.asarray(self.coordinates.spread, jnp.float32)

        for report in train(
            self.loss,
            self.map.parameters,
            batches_from(data, batch),
            batches_of(Partial(_spread_normal, spread), batch),
            schedule,
            jax.random.key(seed % SEEDS),
            report_every,
        ):
            self.map.parameters = report.averaged
            yield report.done, report.parts

    def push(self, x: Tensor) -> Tensor:
        """Carry points of the source to the target by grad f, (n, d) to (n, d)."""
        _, axes, spread = self._on(x)
        return self.map.push(self._whitened(x)) / spread @ axes.T

    def pull(self, y: Tensor) -> Tensor:
        """Carry points of the target back to the source by grad f*, (n, d) to (n, d)."""
        mean, axes, spread = self._on(y)
        return (self.map.solve(y.float() @ axes * spread) * spread) @ axes.T + mean

    def conjugate(self, y: Tensor) -> Conjugate:
        """Solve for points y (n, d); the solutions are in the source's whitened coordinates."""
        _, axes, spread = self._on(y)
        return self.map.conjugate(y.float() @ axes * spread)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return parameters and coordinates by name, to be saved."""
        coordinates = {
            f"coordinates.{name}": np.ascontiguousarray(getattr(self.coordinates, name))
            for name in COORDINATES
        }
        return named_arrays(self.map.parameters) | coordinates

    @classmethod
    def of_arrays(
        cls,
        arrays: dict[str, np.ndarray],
        hidden: tuple[int, ...],
        amortizer_hidden: tuple[int, ...],
        training: Solver,
        inverse: Solver,
    ) -> Self:
        """Make a map from the result of `arrays`.

        Raises
        ------
        ValueError
            If the arrays are not such a map, or if their weights would make the potential
            non-convex.
        """
        own = dict(arrays)
        try:
            values = [own.pop(f"coordinates.{name}") for name in COORDINATES]
        except KeyError as error:
            raise ValueError(
                f"the saved model holds no map to N(0, I): {error.args[0]} is missing"
            ) from None
        new = cls(WhitenedCoordinates(*values), hidden, amortizer_hidden, training, inverse)
        view = new.map.view
        new.map.parameters = checked_parameters(own, view.kind, view.networks)
        return new
