r"""Networks as pure functions, and what all of them need: sizes, starts, checks.

Sizes, initialisers and activations follow the release of Amos 2023 (arXiv 2210.12153), appendices
B.2 to B.4; what is not in the paper is said to be so.
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
"""Standard deviation of a standard normal cut at two."""

LEAST_SPREAD = 1e-6
"""Standard deviation below which a unit counts as constant when it is normalised."""


def _nothing_to_project(parameters: Parameters) -> Parameters:
    return parameters


class Network(NamedTuple):
    """A network as pure functions.

    What makes networks is cached: the same sizes give the same functions, so that nothing is
    compiled twice for them.

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


def dense(parameters: Parameters, layer: int, x: Array) -> Array:
    """Apply a dense layer by its number."""
    return x @ parameters[f"kernel{layer}"] + parameters[f"bias{layer}"][None]


def half_square(x: Array) -> Array:
    """Return half the squared norm of every row."""
    return 0.5 * jnp.sum(x * x, axis=-1)
