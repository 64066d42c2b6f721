r"""An input-convex potential and the residual network that predicts its conjugate's maximiser.

Amos 2023 (arXiv 2210.12153), appendices B.2 and B.3, after the input-convex networks of Amos, Xu &
Kolter 2017. Parameters are plain dictionaries of arrays; functions take a batch of points (n, d).
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

Parameters = dict[str, Array]

FLOOR = 0.1
"""Least curvature of the potential: the map is a bijection whose inverse stretches at most
1 / FLOOR times, and the conjugate's problem stays well conditioned."""

BAND = 16
"""Axes whose common size one norm unit sees."""

OFFSET = 0.1
"""Rounds the norm's tip; 1 is the mean square of the band."""

SOFTPLUS_OF_ZERO_WEIGHT = math.log(math.expm1(1.0))
"""The free weight whose softplus is 1."""


@partial(jax.jit, static_argnames="hidden")
def init_icnn(key: Array, sample: Array, hidden: tuple[int, ...]) -> Parameters:
    r"""Start a convex potential at 0.5 \|x\|^2 exactly, so that its gradient is the identity.

    Parameters
    ----------
    key : Array
        A JAX random key.
    sample : Array, shape (m, d)
        Points of the law that the potential will see: every unit's input is brought to mean 0 and
        variance 1 over them (the data-dependent start of the paper's ActNorm).
    hidden : tuple of int
        Units of each hidden layer, at least one layer.

    Notes
    -----
    Half of the first layer's units look along the coordinate axes and against them, the widest
    axes first; the others along random directions. Their kinks are spread over the law, a standard
    deviation about its middle: kinks in the middle alone cannot tell one cluster from two.
    """
    if not hidden or min(hidden) < 1:
        raise ValueError(f"hidden must name at least one layer of at least one unit, got {hidden}")
    dimension = sample.shape[1]
    spread = jnp.std(sample, axis=0) + 1e-6
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
        directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)
        drive = sample @ directions.T
        if units is not None:
            noise = 0.1 * jax.random.normal(outer, (width, units.shape[1]))
            parameters[f"inner{layer}"] = SOFTPLUS_OF_ZERO_WEIGHT + noise
            drive += units @ _positive(parameters[f"inner{layer}"]).T
        gain = 1 / (jnp.std(drive, axis=0) + 1e-6)
        parameters |= {
            f"directions{layer}": directions,
            f"gain{layer}": gain,
            f"bias{layer}": jax.random.normal(kink, (width,)) - gain * jnp.mean(drive, axis=0),
            f"output{layer}": jnp.zeros(width),
        }
        units = jax.nn.elu(gain * drive + parameters[f"bias{layer}"]) / gain
    return parameters


def _init_norms(spread: Array) -> Parameters:
    """Start units that see the size of a band of axes of similar spread."""
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


def _positive(weights: Array) -> Array:
    """Map free weights to positive ones, divided by the fan-in (appendix B.3)."""
    return jax.nn.softplus(weights) / weights.shape[1]


def icnn(parameters: Parameters, x: Array) -> Array:
    r"""Evaluate the potential, strongly convex with modulus FLOOR, at x (n, d); returns (n,).

    .. math::
        f(x) = \tfrac12 \sum_i (\epsilon + (1 - \epsilon) e^{a_i}) x_i^2
               + \sum_l \langle w_l, h_l \rangle, \quad
        h_l = \mathrm{ELU}(g_l (C_l h_{l-1} + D_l x) + b_l) / g_l

    with C_l, g_l > 0 and w_l >= 0. Every layer reaches the output directly, each unit divided by
    its gain once more, so that its weight counts curvature.
    """
    curvature = FLOOR + (1 - FLOOR) * jnp.exp(parameters["log_curvature"])
    value = 0.5 * (x * x) @ curvature
    offset, gain = (jax.lax.stop_gradient(parameters[f"norm_{n}"]) for n in ("offset", "gain"))
    norms = jnp.sqrt(offset + (x * x) @ parameters["norms"].T)
    value += norms @ (gain * parameters["output_norms"])
    units = None
    layer = 0
    while f"directions{layer}" in parameters:
        drive = x @ parameters[f"directions{layer}"].T
        if units is not None:
            drive += units @ _positive(parameters[f"inner{layer}"]).T
        gain = jax.lax.stop_gradient(parameters[f"gain{layer}"])
        units = jax.nn.elu(gain * drive + parameters[f"bias{layer}"]) / gain
        value += units @ (parameters[f"output{layer}"] / gain)
        layer += 1
    return value


def project_icnn(parameters: Parameters) -> Parameters:
    """Return the parameters with the output weights set back to at least 0, after an update.

    A projection, because weights that start at exactly 0 would have no gradient through a square
    and cannot be reached by a softplus.
    """
    return {
        name: jnp.maximum(value, 0.0) if name.startswith(("output", "norms")) else value
        for name, value in parameters.items()
    }


@partial(jax.jit, static_argnames="hidden")
def init_residual_mlp(key: Array, spread: Array, hidden: tuple[int, ...]) -> Parameters:
    """Start the network h(y) = y + MLP(y) at the identity, for inputs of the given spread (d,)."""
    parameters: Parameters = {"spread": spread}
    width_in = len(spread)
    for layer, width in enumerate(hidden):
        key, inner = jax.random.split(key)
        weight = jax.random.normal(inner, (width, width_in)) / math.sqrt(width_in)
        parameters |= {f"weight{layer}": weight, f"bias{layer}": jnp.zeros(width)}
        width_in = width
    return parameters | {"last": jnp.zeros((len(spread), width_in))}


def residual_mlp(parameters: Parameters, y: Array) -> Array:
    """Evaluate h(y) = y + MLP(y), ELU between the layers (appendix B.2), (n, d) to (n, d)."""
    spread = jax.lax.stop_gradient(parameters["spread"])
    units = y / spread
    layer = 0
    while f"weight{layer}" in parameters:
        units = jax.nn.elu(units @ parameters[f"weight{layer}"].T + parameters[f"bias{layer}"])
        layer += 1
    return y + spread * (units @ parameters["last"].T)
