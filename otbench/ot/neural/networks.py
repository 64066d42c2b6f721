"""The networks of neural optimal transport: ReLU layers, started as in the authors' toy notebooks.

Networks are `otbench.ot.w2.network.Network`, pure functions on a flat dictionary of arrays.
"""

from __future__ import annotations

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from otbench.ot.w2.network import Network, Parameters


@cache
def relu_mlp(inputs: int, hidden: tuple[int, ...], outputs: int) -> Network:
    """Make a network of ReLU layers and a linear last one, points (m, inputs) to (m, outputs).

    Kernels are normal with variance 2 / fan-in (He et al. 2015), biases uniform within
    1 / sqrt(fan-in), as with the authors' initialiser and PyTorch's default.

    Raises
    ------
    ValueError
        If a size is below 1.
    """
    sizes = (inputs, *hidden, outputs)
    if min(sizes) < 1 or not hidden:
        raise ValueError(
            f"a network needs inputs, outputs and hidden layers of at least 1 unit, got {sizes}"
        )
    shapes = list(itertools.pairwise(sizes))
    last = len(shapes) - 1

    def init(key: Array, sample: Array) -> Parameters:
        kernel_key, bias_key = jax.random.split(key)
        kernels = jax.random.normal(kernel_key, (sum(a * b for a, b in shapes),))
        biases = jax.random.uniform(bias_key, (sum(sizes[1:]),), minval=-1.0)
        parts = jnp.split(kernels, np.cumsum([a * b for a, b in shapes])[:-1])
        offsets = jnp.split(biases, np.cumsum(sizes[1:])[:-1])
        made = {}
        for layer, (shape, part, offset) in enumerate(zip(shapes, parts, offsets, strict=True)):
            made[f"kernel{layer}"] = part.reshape(shape) * np.sqrt(2 / shape[0])
            made[f"bias{layer}"] = offset / np.sqrt(shape[0])
        return made

    def apply(parameters: Parameters, x: Array) -> Array:
        for layer in range(last + 1):
            x = x @ parameters[f"kernel{layer}"] + parameters[f"bias{layer}"][None]
            x = jax.nn.relu(x) if layer < last else x
        return x

    return Network(inputs, init, apply)


@cache
def potential(dimension: int, hidden: tuple[int, ...]) -> Network:
    """Make the potential f, points (m, dimension) to values (m,)."""
    network = relu_mlp(dimension, hidden, 1)

    def apply(parameters: Parameters, x: Array) -> Array:
        return network.apply(parameters, x)[:, 0]

    return Network(dimension, network.init, apply)


@cache
def map_network(
    dimension: int, noise: int, hidden: tuple[int, ...], residual: bool, bound: float
) -> Network:
    """Make the map T(x, z) from rows [x, z] of dimension + noise numbers to points (m, dimension).

    Parameters
    ----------
    dimension, noise : int
    hidden : tuple of int
    residual : bool
        Add the network to x; its last layer starts at a tenth of its size, so T starts near x.
    bound : float
        Replace T by bound tanh(T / bound), coordinate by coordinate; 0 for no bound.
    """
    network = relu_mlp(dimension + noise, hidden, dimension)
    last = f"kernel{len(hidden)}"

    def init(key: Array, sample: Array) -> Parameters:
        made = network.init(key, sample)
        return made | {last: made[last] * 0.1} if residual else made

    def apply(parameters: Parameters, rows: Array) -> Array:
        moved = network.apply(parameters, rows)
        if residual:
            moved = moved + rows[:, :dimension]
        return bound * jnp.tanh(moved / bound) if bound else moved

    return Network(dimension + noise, init, apply)
