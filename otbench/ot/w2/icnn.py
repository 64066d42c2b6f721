r"""Input-convex potentials (Amos 2023, appendix B.3), and a start at a Gaussian map."""

from __future__ import annotations

import itertools
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from otbench.ot.gaussian import bures_map
from otbench.ot.w2.network import (
    LEAST_SPREAD,
    Network,
    Parameters,
    check_points,
    checked_sizes,
    dense,
    draw_kernels,
    elu,
    half_square,
)


@cache
def icnn(dimension: int, hidden: tuple[int, ...] | None = None) -> Network:
    r"""Return the input-convex potential of appendix B.3.

    .. math::
        z_1 &= \mathrm{ELU}(W_0 x + b_0), \quad
        z_{l+1} = \mathrm{ELU}(N_l(\zeta(C_l) z_l / k_l + W_l x + b_l)), \\
        f(x) &= \mathrm{ELU}(\zeta(c)^T z_L / k_L + w^T x + b) + \tfrac12 e^{\alpha} \|x\|^2

    with softplus :math:`\zeta`, fan-in k_l, and an ActNorm N_l: a positive scale and a shift for
    each unit, which give it mean 0 and variance 1 over the sample passed to ``init`` (the release
    draws it uniformly within the data's bounds).

    Parameters
    ----------
    dimension : int
    hidden : tuple of int
        Widths; `paper_widths` by default.

    Raises
    ------
    ValueError
        If a size is less than 1.
    """
    hidden = checked_sizes(dimension, hidden)

    @jax.jit
    def init(key: Array, sample: Array) -> Parameters:
        check_points(sample, dimension)
        return _start(key, sample, (*hidden, 1), len(hidden)) | {"log_alpha": jnp.zeros(())}

    def apply(parameters: Parameters, x: Array) -> Array:
        check_points(x, dimension)
        units = _units(parameters, len(hidden) + 1, x)
        return units[:, 0] + jnp.exp(parameters["log_alpha"]) * half_square(x)

    return Network(dimension, init, apply)


@cache
def quadratic_icnn(dimension: int, hidden: tuple[int, ...] | None = None) -> Network:
    r"""Return an input-convex potential with a full quadratic, which can start at any linear map.

    .. math:: f(x) = \langle o, z_L \rangle + \tfrac12 \|R x\|^2 + \langle s, x \rangle

    with the units z of `icnn` and o >= 0, which starts at 0 and which ``project`` keeps at least 0.
    The gradient is initially the identity; see `started_at`. This potential is not in the paper;
    it follows the Gaussian initialisation of OTT-JAX's ICNN.

    Parameters
    ----------
    dimension : int
    hidden : tuple of int
        Widths; `paper_widths` by default.

    Raises
    ------
    ValueError
        If a size is less than 1.
    """
    hidden = checked_sizes(dimension, hidden)

    @jax.jit
    def init(key: Array, sample: Array) -> Parameters:
        check_points(sample, dimension)
        return _start(key, sample, hidden, len(hidden)) | {
            "output": jnp.zeros(hidden[-1]),
            "root": jnp.eye(dimension),
            "shift": jnp.zeros(dimension),
        }

    def apply(parameters: Parameters, x: Array) -> Array:
        check_points(x, dimension)
        units = _units(parameters, len(hidden), x)
        quadratic = half_square(x @ parameters["root"].T) + x @ parameters["shift"]
        return units @ parameters["output"] + quadratic

    return Network(dimension, init, apply, project_icnn)


class GaussianStart(NamedTuple):
    """The closed-form map x -> matrix @ x + shift between the Gaussian fits of two laws."""

    matrix: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, source: ArrayLike, target: ArrayLike) -> GaussianStart:
        """Fit to points (m, n) of the source and of the target."""
        x, y = np.asarray(source, np.float64), np.asarray(target, np.float64)
        if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
            raise ValueError(
                f"two sets of at least 2 points in one dimension are needed, got shapes "
                f"{x.shape} and {y.shape}"
            )
        covariances = [np.atleast_2d(np.cov(points.T)) for points in (x, y)]
        return cls(*bures_map(x.mean(axis=0), covariances[0], y.mean(axis=0), covariances[1]))


def started_at(parameters: Parameters, start: GaussianStart) -> Parameters:
    """Make the gradient of a `quadratic_icnn` the closed-form map, exactly.

    Raises
    ------
    ValueError
        If the start has another dimension, or its matrix is not positive semi-definite.
    """
    dimension = len(parameters["shift"])
    shift = np.asarray(start.shift, np.float64)
    if shift.shape != (dimension,):
        raise ValueError(f"the start's shift must have shape ({dimension},), got {shift.shape}")
    root = _symmetric_root(start.matrix, dimension)
    return parameters | {
        "root": jnp.asarray(root, jnp.float32),
        "shift": jnp.asarray(shift, jnp.float32),
    }


def project_icnn(parameters: Parameters) -> Parameters:
    """Project the output weights back to at least 0 after an update.

    The weights start at exactly 0, which a softplus cannot reach; hence a projection.
    """
    return parameters | {"output": jnp.maximum(parameters["output"], 0.0)}


def _symmetric_root(matrix: np.ndarray, dimension: int) -> np.ndarray:
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (dimension, dimension):
        raise ValueError(
            f"the start's matrix must have shape ({dimension}, {dimension}), got {matrix.shape}"
        )
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if not np.allclose(matrix, matrix.T, atol=1e-6 * abs(values).max()) or (
        values[0] < -1e-6 * abs(values).max()
    ):
        raise ValueError("the start's matrix must be symmetric and positive semi-definite")
    root: np.ndarray = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _start(key: Array, sample: Array, widths: tuple[int, ...], depth: int) -> Parameters:
    """Draw convex layers; layers 1 to ``depth`` - 1 are normalised over the sample."""
    outer = [(sample.shape[1], width) for width in widths]
    kernels = draw_kernels(key, outer + list(itertools.pairwise(widths)))
    parameters: Parameters = {}
    units = sample
    for layer, width in enumerate(widths):
        parameters[f"kernel{layer}"] = kernels[layer]
        parameters[f"bias{layer}"] = jnp.zeros(width)
        if layer:
            parameters[f"inner{layer}"] = kernels[len(widths) + layer - 1]
        drive = _drive(parameters, layer, units, sample)
        if 0 < layer < depth:
            deviation = jnp.maximum(jnp.std(drive, axis=0), LEAST_SPREAD)
            parameters[f"log_scale{layer}"] = -jnp.log(deviation)
            parameters[f"offset{layer}"] = -jnp.mean(drive, axis=0) / deviation
        units = elu(_normalised(parameters, layer, drive))
    return parameters


def _units(parameters: Parameters, layers: int, x: Array) -> Array:
    """Evaluate the convex layers at points (m, n)."""
    units = x
    for layer in range(layers):
        drive = _drive(parameters, layer, units, x)
        units = elu(_normalised(parameters, layer, drive))
    return units


def _drive(parameters: Parameters, layer: int, units: Array, x: Array) -> Array:
    """Return the input of a convex layer's units, before normalisation and activation."""
    drive = dense(parameters, layer, x)
    if layer:
        inner = parameters[f"inner{layer}"]
        drive += units @ jax.nn.softplus(inner) / len(inner)
    return drive


def _normalised(parameters: Parameters, layer: int, drive: Array) -> Array:
    if f"log_scale{layer}" not in parameters:
        return drive
    scale = jnp.exp(parameters[f"log_scale{layer}"])[None]
    return scale * drive + parameters[f"offset{layer}"][None]
