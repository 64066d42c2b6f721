"""A convex potential for laws whose axes have very different spreads, such as codes."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from otbench.ot.w2.network import (
    LEAST_SPREAD,
    Network,
    Parameters,
    check_points,
    checked_sizes,
    elu,
)

FLOOR = 0.1
"""Least curvature of the potential. The map is a bijection whose inverse stretches by at most
1 / FLOOR, and the conjugate's problem stays well conditioned."""

BAND = 16
"""Number of axes that enter one norm unit."""

OFFSET = 0.1
"""Rounds the norm's tip; 1 is the mean square of the band."""

SOFTPLUS_OF_ONE = float(np.log(np.expm1(1.0)))
"""The free weight whose softplus is 1."""


@cache
def banded_icnn(dimension: int, hidden: tuple[int, ...]) -> Network:
    r"""Return a potential that is strongly convex with modulus `FLOOR` and starts at |x|^2 / 2.

    .. math::
        f(x) = \tfrac12 \sum_i (\epsilon + (1 - \epsilon) e^{a_i}) x_i^2
               + \langle v, n(x) \rangle + \sum_l \langle w_l, h_l \rangle, \quad
        h_l = \mathrm{ELU}(g_l (C_l h_{l-1} + D_l x) + b_l) / g_l

    with C_l, g_l > 0 and v, w_l >= 0; v and w_l start at 0. Every layer is connected directly to
    the output, with each unit divided by its gain once more, so that its weight measures
    curvature. The n are smoothed norms of groups of `BAND` axes of similar spread. The design
    follows the input-convex networks of Amos, Xu & Kolter 2017 and Amos 2023 (arXiv 2210.12153,
    appendix B.3: positive weights by softplus over the fan-in, units normalised over a sample).
    The quadratic, the norms and the direct outputs are ours: codes are mixtures of scales, which
    sums of ridges fit slowly.

    Parameters
    ----------
    dimension : int
    hidden : tuple of int
        Number of units in each hidden layer; at least one layer.

    Raises
    ------
    ValueError
        If a size is less than 1.
    """
    hidden = checked_sizes(dimension, hidden)

    def apply(parameters: Parameters, x: Array) -> Array:
        check_points(x, dimension)
        curvature = FLOOR + (1 - FLOOR) * jnp.exp(parameters["log_curvature"])
        value = 0.5 * (x * x) @ curvature
        offset, gain = (jax.lax.stop_gradient(parameters[f"norm_{n}"]) for n in ("offset", "gain"))
        norms = jnp.sqrt(offset + (x * x) @ parameters["norms"].T)
        value += norms @ (gain * parameters["output_norms"])
        units = None
        for layer in range(len(hidden)):
            drive = _drive(parameters, layer, units, x)
            gain = jax.lax.stop_gradient(parameters[f"gain{layer}"])
            units = elu(gain * drive + parameters[f"bias{layer}"]) / gain
            value += units @ (parameters[f"output{layer}"] / gain)
        return value

    return Network(dimension, partial(_init, hidden), apply, project_outputs)


def project_outputs(parameters: Parameters) -> Parameters:
    """Project the output weights back to at least 0 after an update.

    The weights start at exactly 0, where a square has no gradient and which a softplus cannot
    reach; hence a projection.
    """
    return {
        name: jnp.maximum(value, 0.0) if name.startswith(("output", "norms")) else value
        for name, value in parameters.items()
    }


def _drive(parameters: Parameters, layer: int, units: Array | None, x: Array) -> Array:
    drive = x @ parameters[f"directions{layer}"].T
    if units is not None:
        inner = parameters[f"inner{layer}"]
        drive += units @ jax.nn.softplus(inner).T / inner.shape[1]
    return drive


@partial(jax.jit, static_argnums=0)
def _init(hidden: tuple[int, ...], key: Array, sample: Array) -> Parameters:
    """Start at the identity map; every unit's input has mean 0 and variance 1 over the sample.

    Half of the first layer's units are aligned with the coordinate axes, in both directions and
    the widest axes first; the others have random directions. Their kinks are spread about the mean
    of the law with its standard deviation, because kinks at the mean alone cannot distinguish one
    cluster from two.
    """
    dimension = sample.shape[1]
    spread = jnp.std(sample, axis=0) + LEAST_SPREAD
    parameters: Parameters = {"log_curvature": jnp.zeros(dimension), **_init_norms(spread)}
    widest = jnp.eye(dimension)[jnp.argsort(-spread)]
    both_ways = jnp.stack([widest, -widest], axis=1).reshape(2 * dimension, dimension)
    units = None
    for layer, width in enumerate(hidden):
        key, inner, outer, kink = jax.random.split(key, 4)
        directions = jax.random.normal(inner, (width, dimension))
        if layer == 0:
            aligned = jnp.arange(width // 2) % (2 * dimension)
            directions = directions.at[: width // 2].set(both_ways[aligned])
        else:
            noise = 0.1 * jax.random.normal(outer, (width, hidden[layer - 1]))
            parameters[f"inner{layer}"] = SOFTPLUS_OF_ONE + noise
        directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)
        parameters[f"directions{layer}"] = directions
        drive = _drive(parameters, layer, units, sample)
        gain = 1 / (jnp.std(drive, axis=0) + LEAST_SPREAD)
        parameters |= {
            f"gain{layer}": gain,
            f"bias{layer}": jax.random.normal(kink, (width,)) - gain * jnp.mean(drive, axis=0),
            f"output{layer}": jnp.zeros(width),
        }
        units = elu(gain * drive + parameters[f"bias{layer}"]) / gain
    return parameters


def _init_norms(spread: Array) -> Parameters:
    """Initialise units that measure the norm over a band of axes of similar spread."""
    bands = -(-len(spread) // BAND)
    rank = jnp.argsort(jnp.argsort(-spread))
    member = (rank // BAND == jnp.arange(bands)[:, None]).astype(spread.dtype)
    weights = member / jnp.sum(member, axis=1, keepdims=True) / spread**2
    curvature = jnp.sum(weights, axis=1) / jnp.sum(member, axis=1)
    return {
        "norms": weights / curvature[:, None],
        "norm_offset": OFFSET / curvature,
        "norm_gain": jnp.sqrt(1 / curvature),
        "output_norms": jnp.zeros(bands),
    }
