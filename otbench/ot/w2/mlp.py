"""Potentials that are not convex, and the amortizer (Amos 2023, appendices B.2 and B.4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
from jax import Array

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
        x = elu(dense(parameters, layer, x))
    return dense(parameters, depth, x)


@cache
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


@cache
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


@cache
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
        Scale every coordinate of the MLP's input and output by its standard deviation over the
        sample passed to ``init``, for laws whose axes differ in spread.

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
        spread = jax.lax.stop_gradient(parameters["spread"])[None]
        return y + spread * _hidden(parameters, len(hidden), y / spread)

    return Network(dimension, init if scaled else plain, apply)
