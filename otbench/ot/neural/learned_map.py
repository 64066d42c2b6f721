"""A trained map T(x, z), from and to torch tensors."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from otbench.ot.torch_bridge import in_buckets, to_jax, to_torch
from otbench.ot.w2.potentials import Parameters, check_parameters

from .train import Pair, Problem

UNITS, LOSSES = "units", "losses"
"""Names of what is saved beside the networks."""


class LearnedMap:
    """The map of a trained pair, in the units of the data.

    Parameters
    ----------
    problem : Problem
    parameters : Pair
        The map's are those to carry points with.
    shift : ndarray, shape (d,)
    scale : float
        The networks see (x - shift) / scale.
    losses : ndarray, shape (steps,), optional
        L_f of every step, in the networks' units.
    """

    def __init__(
        self,
        problem: Problem,
        parameters: Pair,
        shift: np.ndarray,
        scale: float,
        losses: np.ndarray | None = None,
    ) -> None:
        self.problem, self.parameters = problem, parameters
        self.shift, self.scale = np.asarray(shift, np.float32), float(scale)
        self.losses = np.zeros(0, np.float32) if losses is None else losses

        def carry(own: Parameters, rows: Array) -> Array:
            d = problem.potential.dimension
            points = (rows[:, :d] - self.shift) / self.scale
            moved = problem.map.apply(own, jnp.concatenate([points, rows[:, d:]], axis=1))
            return moved * self.scale + self.shift

        self._carry = jax.jit(carry)

    @property
    def dimension(self) -> int:
        """Of the points."""
        return self.problem.potential.dimension

    def push(self, x: Tensor, z: Tensor) -> Tensor:
        """Carry points (m, d) by noise (m, noise) of unit variance; on the device of the points.

        Raises
        ------
        ValueError
            If the points are of another dimension.
        """
        if x.ndim != 2 or x.shape[1] != self.dimension or not len(x):
            raise ValueError(
                f"points must have shape (m, {self.dimension}) with m >= 1, got {tuple(x.shape)}"
            )
        rows = to_jax(torch.cat([x, self.problem.noise_scale * z.to(x)], dim=1))
        with jax.default_matmul_precision("highest"):
            (moved,) = in_buckets(lambda part: (self._carry(self.parameters.map, part),), rows)
        return to_torch(moved, x.device)

    def save(self, file: Path) -> None:
        """Write parameters, units and losses as safetensors."""
        arrays = {
            f"{network}.{name}": np.ascontiguousarray(value)
            for network, part in self.parameters._asdict().items()
            for name, value in part.items()
        }
        units = np.append(self.shift, np.float32(self.scale))
        save_file(arrays | {UNITS: units, LOSSES: np.asarray(self.losses, np.float32)}, file)

    @classmethod
    def load(cls, file: Path, problem: Problem) -> LearnedMap:
        """Read back what `save` wrote, for networks built anew.

        Raises
        ------
        ValueError
            If the file is no safetensors file or holds parameters of other networks.
        """
        try:
            arrays = load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file} is no safetensors file: {error}") from error
        missing = [name for name in (UNITS, LOSSES) if name not in arrays]
        if missing:
            raise ValueError(f"{file} lacks {' and '.join(missing)}")
        units, losses = arrays.pop(UNITS), arrays.pop(LOSSES)
        parts: dict[str, Parameters] = {name: {} for name in Pair._fields}
        for full, value in arrays.items():
            network, _, name = full.partition(".")
            if network not in parts:
                raise ValueError(f"{file} holds {full}, wanted arrays of map and potential")
            parts[network][name] = jnp.asarray(value)
        for network, part in parts.items():
            try:
                check_parameters(getattr(problem, network), part)
            except ValueError as error:
                raise ValueError(f"{file}, {network}: {error}") from error
        return cls(problem, Pair(**parts), units[:-1], float(units[-1]), losses)
