r"""A trained Brenier map to N(0, I) and its inverse, from and to torch tensors.

The map is y = grad f(x) with f convex; the inverse solves grad f(x) = y from the amortizer's
prediction. Everything is computed in `BalancedCoordinates`, where the start is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from safetensors.numpy import load_file, save_file
from torch import Tensor

from .amortized import DualParameters, DualTraining, train_dual
from .conjugate import Conjugate, conjugate, gradient_of
from .gaussian import BalancedCoordinates
from .icnn import icnn, init_icnn, init_residual_mlp, project_icnn, residual_mlp

BUCKETS = (64, 256, 1024)
"""Sizes that batches are padded to, so that few shapes are ever compiled."""

FIRST_ROUND = 12
"""Solver steps after which the finished points are set aside and the others go on alone."""

SEEDS = 2**32
"""JAX keys take 32 bits."""

STATISTICS_SAMPLE = 2048
"""Points that the units of the potential are normalised over at the start."""


def to_jax(x: Tensor) -> Array:
    """Hand a tensor to JAX; on a GPU that both see, without leaving it."""
    x = x.detach().contiguous()
    if x.is_cuda and jax.default_backend() == "gpu":
        return jnp.asarray(jax.dlpack.from_dlpack(x), jnp.float32)
    return jnp.asarray(x.cpu().numpy(), jnp.float32)


def to_torch(x: Array, device: torch.device) -> Tensor:
    """Hand an array to torch, on the device."""
    return torch.from_dlpack(x).to(device)


def _in_buckets(function: Callable[[Array], tuple[Array, ...]], x: Array) -> tuple[Array, ...]:
    """Apply a compiled function to rows in batches of the sizes of BUCKETS, the last one padded."""
    results = []
    for first in range(0, len(x), BUCKETS[-1]):
        part = x[first : first + BUCKETS[-1]]
        size = next(b for b in BUCKETS if b >= len(part))
        padded = jnp.pad(part, ((0, size - len(part)), (0, 0)), mode="edge")
        results.append([value[: len(part)] for value in function(padded)])
    return tuple(jnp.concatenate(parts) for parts in zip(*results, strict=True))


@jax.jit
def _push(
    parameters: DualParameters[Array], mean: Array, axes: Array, spread: Array, x: Array
) -> Array:
    u = (x - mean) @ axes / spread
    return gradient_of(partial(icnn, parameters.potential))(u) / spread @ axes.T


@jax.jit
def _pull(
    parameters: DualParameters[Array],
    axes: Array,
    spread: Array,
    tolerance: float,
    iterations: int,
    y: Array,
) -> Conjugate:
    v = y @ axes * spread
    return conjugate(
        partial(icnn, parameters.potential),
        v,
        residual_mlp(parameters.amortizer, v),
        tolerance=tolerance,
        max_iterations=iterations,
        change_basis=lambda residual: residual / spread @ axes.T,
    )


class AmortizedMap:
    """An optimal map from the law of some points to N(0, I).

    Parameters
    ----------
    coordinates : BalancedCoordinates
    parameters : DualParameters
    """

    def __init__(self, coordinates: BalancedCoordinates, parameters: DualParameters[Array]) -> None:
        self.coordinates = coordinates
        self.parameters = parameters
        self.mean, self.axes, self.spread = (
            jnp.asarray(value, jnp.float32)
            for value in (coordinates.mean, coordinates.axes, coordinates.spread)
        )

    @classmethod
    def start(
        cls, points: Tensor, seed: int, hidden: tuple[int, ...], amortizer_hidden: tuple[int, ...]
    ) -> Self:
        """Make the map that is the closed-form Gaussian (Bures) one for the law of the points.

        Parameters
        ----------
        points : Tensor, shape (n, d)
        seed : int
        hidden, amortizer_hidden : tuple of int
            Widths of the potential's and the amortizer's layers.
        """
        coordinates = BalancedCoordinates.of(points.detach().cpu().numpy())
        new = cls(coordinates, DualParameters({}, {}))
        keys = jax.random.split(jax.random.key(seed % SEEDS))
        sample = new._balanced(to_jax(points[:STATISTICS_SAMPLE]))
        new.parameters = DualParameters(
            init_icnn(keys[0], sample, hidden),
            init_residual_mlp(keys[1], new.spread, amortizer_hidden),
        )
        return new

    def _balanced(self, x: Array) -> Array:
        return (x - self.mean) @ self.axes / self.spread

    def train(
        self,
        points: Tensor,
        seed: int,
        *,
        steps: int,
        batch_size: int,
        rate: float,
        amortizer_rate: float,
        tolerance: float,
        iterations: int,
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Train on the points as the source, yielding updates done and losses now and then.

        Parameters
        ----------
        points : Tensor, shape (n, d)
        seed, steps, batch_size, rate, amortizer_rate, tolerance, iterations
            See `DualTraining`; the tolerance is that of the target, not of its balanced
            coordinates.

        Raises
        ------
        FloatingPointError
            If a parameter is no longer finite.
        """
        data = self._balanced(to_jax(points))
        spread, axes = self.spread, self.axes

        def source(key: Array) -> Array:
            return data[jax.random.randint(key, (batch_size,), 0, len(data))]

        def target(key: Array) -> Array:
            return jax.random.normal(key, (batch_size, len(spread))) * spread

        training = DualTraining(
            icnn,
            residual_mlp,
            project_icnn,
            source,
            target,
            steps,
            rate,
            amortizer_rate,
            tolerance=tolerance,
            iterations=iterations,
            change_basis=lambda residual: residual / spread @ axes.T,
        )
        for done, parameters, losses in train_dual(
            training, self.parameters, jax.random.key(seed % SEEDS)
        ):
            if not all(np.isfinite(v).all() for v in jax.tree.leaves(parameters)):
                raise FloatingPointError(f"the map's parameters are not finite at step {done}")
            self.parameters = parameters
            yield done, losses

    def push(self, x: Tensor) -> Tensor:
        """Carry points of the source to the target by grad f, (n, d) to (n, d)."""
        with jax.default_matmul_precision("highest"):
            (y,) = _in_buckets(
                lambda part: (_push(self.parameters, self.mean, self.axes, self.spread, part),),
                self._rows(x),
            )
        return to_torch(y, x.device)

    def pull(self, y: Tensor, tolerance: float = 1e-3, iterations: int = 100) -> Tensor:
        """Carry points of the target back to the source by grad f*, (n, d) to (n, d)."""
        return to_torch(self.conjugate(y, tolerance, iterations).points, y.device)

    def conjugate(self, y: Tensor, tolerance: float = 1e-3, iterations: int = 100) -> Conjugate:
        """Solve grad f(x) = y for points y (n, d); see `otbench.ot.conjugate.conjugate`.

        Parameters
        ----------
        y : Tensor, shape (n, d)
        tolerance : float
            Largest entry of ``|grad f(x) - y|``.
        iterations : int
            Solver steps at most.
        """
        solve = partial(_pull, self.parameters, self.axes, self.spread, tolerance)
        first = partial(solve, min(FIRST_ROUND, iterations))
        rows = self._rows(y)
        with jax.default_matmul_precision("highest"):
            found = Conjugate(*_in_buckets(first, rows))
            late = jnp.asarray(np.flatnonzero(np.asarray(found.residual) > tolerance))
            if len(late) and iterations > FIRST_ROUND:
                again = Conjugate(*_in_buckets(partial(solve, iterations), rows[late]))
                found = Conjugate(
                    *(old.at[late].set(new) for old, new in zip(found, again, strict=True))
                )
            points = (found.points * self.spread) @ self.axes.T + self.mean
        return found._replace(points=points)

    def _rows(self, x: Tensor) -> Array:
        dimension = len(self.spread)
        if x.ndim != 2 or x.shape[1] != dimension or not len(x):
            raise ValueError(
                f"points must have shape (n, {dimension}) with n >= 1, got {tuple(x.shape)}"
            )
        return to_jax(x)

    def save(self, file: Path) -> None:
        """Write parameters and coordinates as safetensors."""
        arrays = {
            "coordinates.mean": self.coordinates.mean,
            "coordinates.axes": self.coordinates.axes,
            "coordinates.spread": self.coordinates.spread,
        }
        for part, values in self.parameters._asdict().items():
            arrays |= {f"{part}.{name}": np.asarray(value) for name, value in values.items()}
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, file)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read back what `save` wrote.

        Raises
        ------
        ValueError
            If the file is not such a map, or holds negative output weights, with which the
            potential would not be convex.
        """
        parts: dict[str, dict[str, np.ndarray]] = {}
        for name, value in load_file(file).items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = value
        if set(parts) != {"coordinates", "potential", "amortizer"}:
            raise ValueError(f"{file} holds no map: it has the parts {sorted(parts)}")
        potential, amortizer = (
            {name: jnp.asarray(value) for name, value in parts[part].items()}
            for part in ("potential", "amortizer")
        )
        projected = project_icnn(potential)
        bad = [n for n, value in potential.items() if bool(jnp.any(projected[n] != value))]
        if bad:
            raise ValueError(f"{file}: negative weights make the potential not convex: {bad}")
        coordinates = BalancedCoordinates(**parts["coordinates"])
        return cls(coordinates, DualParameters(potential, amortizer))
