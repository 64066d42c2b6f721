"""A trained map T(x, z) on torch tensors."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from torch import Tensor

from otbench.ot.neural.problem import Pair, Problem
from otbench.ot.torch_bridge import check_batch, in_buckets, to_jax, to_torch
from otbench.ot.w2.network import Parameters
from otbench.ot.w2.saved_parameters import checked_parameters, named_arrays

UNITS, LOSSES = "units", "losses"
"""Names of the arrays that are saved beside the networks."""


@partial(jax.jit, static_argnums=0)
def _carry(
    problem: Problem, own: Parameters, shift: Array, scale: float, rows: Array
) -> tuple[Array]:
    d = problem.potential.dimension
    points = (rows[:, :d] - shift) / scale
    moved = problem.map.apply(own, jnp.concatenate([points, rows[:, d:]], axis=1))
    return (moved * scale + shift,)


class NoisyMap:
    """The map of a trained pair, in the units of the data.

    Parameters
    ----------
    problem : Problem
    parameters : Pair
        The parameters; those of the map carry points.
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

    @property
    def dimension(self) -> int:
        """Dimension of the points."""
        return self.problem.potential.dimension

    def push(self, x: Tensor, z: Tensor) -> Tensor:
        """Carry points (m, d) by noise (m, noise) of unit variance; on the device of the points.

        Raises
        ------
        ValueError
            If the points have another dimension.
        """
        check_batch(x, self.dimension)
        rows = to_jax(torch.cat([x, self.problem.noise_scale * z.to(x)], dim=1))
        with jax.default_matmul_precision("highest"):
            carry = partial(_carry, self.problem, self.parameters.map, self.shift, self.scale)
            (moved,) = in_buckets(carry, rows)
        return to_torch(moved, x.device)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return parameters, units and losses by name, to be saved."""
        units = np.append(self.shift, np.float32(self.scale))
        kept = {UNITS: units, LOSSES: np.asarray(self.losses, np.float32)}
        return named_arrays(self.parameters) | kept

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], problem: Problem) -> NoisyMap:
        """Make a map from the result of `arrays`, for newly built networks.

        Raises
        ------
        ValueError
            If the arrays are the parameters of other networks.
        """
        missing = [name for name in (UNITS, LOSSES) if name not in arrays]
        if missing:
            raise ValueError(f"the saved model lacks {' and '.join(missing)}")
        own = {name: value for name, value in arrays.items() if name not in (UNITS, LOSSES)}
        parameters = checked_parameters(own, Pair, (problem.map, problem.potential))
        units = arrays[UNITS]
        return cls(problem, parameters, units[:-1], float(units[-1]), arrays[LOSSES])
