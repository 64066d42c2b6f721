r"""Networks as pure functions, with their common sizes, initialisers and checks.

Sizes, initialisers and activations follow the release of Amos 2023 (arXiv 2210.12153), appendices
B.2 to B.4; docstrings mark additions that are not in the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Parameters = dict[str, Array]

TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal truncated at two."""

LEAST_SPREAD = 1e-6
"""Standard deviation below which a unit counts as constant when it is normalised."""


def _nothing_to_project(parameters: Parameters) -> Parameters:
    return parameters


class Network(NamedTuple):
    """A network as pure functions.

    The functions that make networks are cached: the same sizes give the same functions, so that
    nothing is compiled twice for them.

    Attributes
    ----------
    dimension : int
        Dimension of its input points.
    init : callable
        ``init(key, sample)`` returns parameters. Data-dependent initialisers normalise over the
        sample (m, n); others ignore it.
    apply : callable
        ``apply(parameters, x)``.
    project : callable
        Projects parameters after an update to those for which the network is valid (convex).
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

    It uses exp rather than expm1, which is several times slower on a CPU; its relative precision
    near 0 is not needed here.
    """
    return jnp.where(x > 0, x, jnp.exp(jnp.minimum(x, 0.0)) - 1)


def checked_sizes(dimension: int, hidden: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the widths, by default the paper's; raise ValueError if a size is less than 1."""
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
    """Check that loaded parameters belong to the network.

    Raises
    ------
    ValueError
        If arrays are missing, superfluous, of another shape or not finite, or if weights are
        negative that must not be for the potential to be convex.
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
    """Draw kernels (fan-in, width), truncated normal with variance 1 / fan-in as in the release.

    All kernels come from one draw, because each separate draw adds half a second of compilation.
    """
    ends = np.cumsum([before * after for before, after in shapes])
    flat = jax.random.truncated_normal(key, -2.0, 2.0, (int(ends[-1]),)) / TRUNCATED_DEVIATION
    return [
        part.reshape(shape) / np.sqrt(shape[0])
        for part, shape in zip(jnp.split(flat, ends[:-1]), shapes, strict=True)
    ]


def dense(parameters: Parameters, layer: int, x: Array) -> Array:
    """Apply the dense layer with the given number."""
    return x @ parameters[f"kernel{layer}"] + parameters[f"bias{layer}"][None]


def half_square(x: Array) -> Array:
    """Return half the squared norm of every row."""
    return 0.5 * jnp.sum(x * x, axis=-1)
