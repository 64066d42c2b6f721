r"""The potentials of Amos 2023, the map that predicts a conjugate's maximiser, and fast starts.

Each network is a pair of pure functions, `Network`, on a flat dictionary of arrays. The potentials
take points (m, n) to values (m,), the amortizer takes points to points. Sizes, initialisers and
activations follow the release of Amos 2023 (arXiv 2210.12153), appendices B.2 to B.4; what is not
in the paper is said to be so. `banded_icnn` is another convex potential, for codes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from otbench.ot.gaussian import bures_map

Parameters = dict[str, Array]

TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal cut at two."""

LEAST_SPREAD = 1e-6
"""Standard deviation below which a unit counts as constant when it is normalised."""


def _nothing_to_project(parameters: Parameters) -> Parameters:
    return parameters


class Network(NamedTuple):
    """A network as pure functions.

    Attributes
    ----------
    dimension : int
        Of the points it takes.
    init : callable
        ``init(key, sample)`` gives parameters; the sample (m, n) is what data-dependent starts
        normalise over, and is ignored by the others.
    apply : callable
        ``apply(parameters, x)``.
    project : callable
        Brings parameters back to where the network is what it should be (convex), after an update.
    """

    dimension: int
    init: Callable[[Array, Array], Parameters]
    apply: Callable[[Parameters, Array], Array]
    project: Callable[[Parameters], Parameters] = _nothing_to_project


def paper_widths(dimension: int) -> tuple[int, int, int]:
    """Return the hidden layers of every network of the high-dimensional benchmark (Amos 2023)."""
    base = max(dimension, 32)
    return 2 * base, 2 * base, base


def elu(x: Array) -> Array:
    """Evaluate ELU with alpha 1.

    By exp rather than expm1, which is several times slower on a CPU and whose relative precision
    about 0 nothing here needs.
    """
    return jnp.where(x > 0, x, jnp.exp(jnp.minimum(x, 0.0)) - 1)


def checked_sizes(dimension: int, hidden: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the widths, the paper's by default; raise ValueError where a size is less than 1."""
    if dimension < 1:
        raise ValueError(f"the dimension must be at least 1, got {dimension}")
    hidden = paper_widths(dimension) if hidden is None else tuple(hidden)
    if not hidden or min(hidden) < 1:
        raise ValueError(f"hidden must name at least one layer of at least one unit, got {hidden}")
    return hidden


def check_points(x: Array, dimension: int) -> None:
    """Raise ValueError unless x is a batch (m, dimension)."""
    if x.ndim != 2 or x.shape[1] != dimension:
        raise ValueError(f"points must have shape (m, {dimension}), got {tuple(x.shape)}")


def check_parameters(network: Network, parameters: Parameters) -> None:
    """Check that parameters read from somewhere belong to the network.

    Raises
    ------
    ValueError
        If arrays are missing, left over, of another shape or not finite, or if weights that must
        not be negative are, so that the potential would not be convex.
    """
    shapes = jax.eval_shape(
        network.init, jax.random.key(0), jnp.zeros((2, network.dimension), jnp.float32)
    )
    if set(shapes) != set(parameters):
        missing, extra = (
            sorted(set(shapes) - set(parameters)),
            sorted(set(parameters) - set(shapes)),
        )
        raise ValueError(f"parameters of another network: missing {missing}, unknown {extra}")
    projected = network.project(parameters)
    for name, value in parameters.items():
        if value.shape != shapes[name].shape:
            raise ValueError(f"{name} must have shape {shapes[name].shape}, got {value.shape}")
        if not bool(jnp.all(jnp.isfinite(value))):
            raise ValueError(f"{name} holds values that are not finite")
        if bool(jnp.any(projected[name] != value)):
            raise ValueError(
                f"{name} holds negative weights (least {float(value.min()):g}): "
                f"the potential would not be convex"
            )


def count(parameters: Parameters) -> int:
    """Return the number of free parameters."""
    return sum(value.size for value in parameters.values())


def draw_kernels(key: Array, shapes: list[tuple[int, int]]) -> list[Array]:
    """Draw kernels (fan-in, width), truncated normal of variance 1 / fan-in as in the release.

    All from one draw: every draw of its own adds half a second of compilation.
    """
    ends = np.cumsum([before * after for before, after in shapes])
    flat = jax.random.truncated_normal(key, -2.0, 2.0, (int(ends[-1]),)) / TRUNCATED_DEVIATION
    return [
        part.reshape(shape) / np.sqrt(shape[0])
        for part, shape in zip(jnp.split(flat, ends[:-1]), shapes, strict=True)
    ]


def _dense(parameters: Parameters, layer: int, x: Array) -> Array:
    return x @ parameters[f"kernel{layer}"] + parameters[f"bias{layer}"]


def half_square(x: Array) -> Array:
    """Return half the squared norm of every row."""
    return 0.5 * jnp.sum(x * x, axis=-1)


def _layers(
    dimension: int, hidden: tuple[int, ...], outputs: int, zero: bool
) -> Callable[[Array, Array], Parameters]:
    """Return the initialiser of a plain network; ``zero`` clears its last layer."""

    @jax.jit
    def init(key: Array, sample: Array) -> Parameters:
        widths = (dimension, *hidden, outputs)
        kernels = draw_kernels(key, list(itertools.pairwise(widths)))
        if zero:
            kernels[-1] = jnp.zeros_like(kernels[-1])
        parameters = {f"kernel{layer}": kernel for layer, kernel in enumerate(kernels)}
        return parameters | {f"bias{k}": jnp.zeros(w) for k, w in enumerate(widths[1:])}

    return init


def _hidden(parameters: Parameters, depth: int, x: Array) -> Array:
    """Evaluate a plain network with ELU between its layers and none after the last."""
    for layer in range(depth):
        x = elu(_dense(parameters, layer, x))
    return _dense(parameters, depth, x)


def mlp(dimension: int, hidden: tuple[int, ...] | None = None) -> Network:
    r"""Return the potential of appendix B.4, not convex.

    .. math:: f(x) = \mathrm{ELU}(\mathrm{MLP}(x)) + \tfrac12 e^{\alpha} \|x\|^2

    The ELU on the output bounds the network's part from below by -1; alpha starts at 0.

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
    plain = _layers(dimension, hidden, 1, zero=False)

    @jax.jit
    def init(key: Array, sample: Array) -> Parameters:
        return plain(key, sample) | {"log_alpha": jnp.zeros(())}

    def apply(parameters: Parameters, x: Array) -> Array:
        check_points(x, dimension)
        value = elu(_hidden(parameters, len(hidden), x)[:, 0])
        return value + jnp.exp(parameters["log_alpha"]) * half_square(x)

    return Network(dimension, init, apply)


def quadratic_mlp(dimension: int, hidden: tuple[int, ...] = (128, 128, 128)) -> Network:
    r"""Return 0.5 \|x\|^2 + MLP(x) with a last layer that starts at zero, not convex.

    Not in the paper: its gradient is the identity at the start, so that no pretraining is needed.

    Parameters
    ----------
    dimension : int
    hidden : tuple of int

    Raises
    ------
    ValueError
        If a size is less than 1.
    """
    hidden = checked_sizes(dimension, hidden)

    def apply(parameters: Parameters, x: Array) -> Array:
        check_points(x, dimension)
        return half_square(x) + _hidden(parameters, len(hidden), x)[:, 0]

    return Network(dimension, _layers(dimension, hidden, 1, zero=True), apply)


def residual_map(
    dimension: int,
    hidden: tuple[int, ...] | None = None,
    zero_start: bool = False,
    scaled: bool = False,
) -> Network:
    """Return the amortizer of appendix B.2, h(y) = y + MLP(y), points to points.

    Parameters
    ----------
    dimension : int
    hidden : tuple of int
        Widths; `paper_widths` by default.
    zero_start : bool
        Start at the identity (not in the paper, which pretrains instead).
    scaled : bool
        The MLP sees and gives every coordinate in units of its standard deviation over the sample
        of ``init``, for laws whose axes differ in spread.

    Raises
    ------
    ValueError
        If a size is less than 1.
    """
    hidden = checked_sizes(dimension, hidden)
    plain = _layers(dimension, hidden, dimension, zero_start)

    def init(key: Array, sample: Array) -> Parameters:
        spread = jnp.maximum(jnp.std(sample, axis=0), LEAST_SPREAD)
        return plain(key, sample) | {"spread": spread}

    def apply(parameters: Parameters, y: Array) -> Array:
        check_points(y, dimension)
        if not scaled:
            return y + _hidden(parameters, len(hidden), y)
        spread = jax.lax.stop_gradient(parameters["spread"])
        return y + spread * _hidden(parameters, len(hidden), y / spread)

    return Network(dimension, init if scaled else plain, apply)


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


def icnn(
    dimension: int, hidden: tuple[int, ...] | None = None, start: GaussianStart | None = None
) -> Network:
    r"""Return the input-convex potential of appendix B.3.

    .. math::
        z_1 &= \mathrm{ELU}(W_0 x + b_0), \quad
        z_{l+1} = \mathrm{ELU}(N_l(\zeta(C_l) z_l / k_l + W_l x + b_l)), \\
        f(x) &= \mathrm{ELU}(\zeta(c)^T z_L / k_L + w^T x + b) + \tfrac12 e^{\alpha} \|x\|^2

    with softplus :math:`\zeta`, fan-in k_l, and N_l an ActNorm: a positive scale and a shift a
    unit, which bring it to mean 0 and variance 1 over the sample given to ``init`` (the release
    draws it uniformly from the data's bounds).

    Parameters
    ----------
    dimension : int
    hidden : tuple of int
        Widths; `paper_widths` by default.
    start : GaussianStart, optional
        Make the gradient that closed-form map at the start, exactly. Not in the paper; after the
        Gaussian initialisation of OTT-JAX's ICNN. The last unit then gives way to
        :math:`\langle o, z_L \rangle` with o >= 0 starting at zero and kept there by ``project``,
        and the quadratic to :math:`\tfrac12 \|R x\|^2 + \langle s, x \rangle`, both learned.

    Raises
    ------
    ValueError
        If a size is less than 1, or the start's matrix is of another size or not positive
        semi-definite.
    """
    hidden = checked_sizes(dimension, hidden)
    root = None if start is None else _symmetric_root(start.matrix, dimension)
    shift = np.zeros(dimension) if start is None else np.asarray(start.shift, np.float64)
    if shift.shape != (dimension,):
        raise ValueError(f"the start's shift must have shape ({dimension},), got {shift.shape}")
    depth = len(hidden)

    @jax.jit
    def init(key: Array, sample: Array) -> Parameters:
        check_points(sample, dimension)
        widths = (*hidden, 1) if root is None else hidden
        outer = [(dimension, width) for width in widths]
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
        if root is None:
            return parameters | {"log_alpha": jnp.zeros(())}
        return parameters | {
            "output": jnp.zeros(hidden[-1]),
            "root": jnp.asarray(root, jnp.float32),
            "shift": jnp.asarray(shift, jnp.float32),
        }

    def apply(parameters: Parameters, x: Array) -> Array:
        check_points(x, dimension)
        units = x
        for layer in range(depth if root is not None else depth + 1):
            drive = _drive(parameters, layer, units, x)
            units = elu(_normalised(parameters, layer, drive))
        if root is None:
            return units[:, 0] + jnp.exp(parameters["log_alpha"]) * half_square(x)
        quadratic = half_square(x @ parameters["root"].T) + x @ parameters["shift"]
        return units @ parameters["output"] + quadratic

    return Network(dimension, init, apply, _nothing_to_project if root is None else project_icnn)


def project_icnn(parameters: Parameters) -> Parameters:
    """Set the output weights back to at least 0, after an update.

    A projection, because weights that start at exactly 0 are out of a softplus's reach.
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


def _drive(parameters: Parameters, layer: int, units: Array, x: Array) -> Array:
    """Return what a convex layer's units receive, before normalisation and activation."""
    drive = _dense(parameters, layer, x)
    if layer:
        inner = parameters[f"inner{layer}"]
        drive += units @ jax.nn.softplus(inner) / len(inner)
    return drive


def _normalised(parameters: Parameters, layer: int, drive: Array) -> Array:
    if f"log_scale{layer}" not in parameters:
        return drive
    return jnp.exp(parameters[f"log_scale{layer}"]) * drive + parameters[f"offset{layer}"]
