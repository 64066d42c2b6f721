"""The convex potentials of the Wasserstein-2 benchmark's checkpoints (Korotin et al. 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from otbench.ot.w2.network import elu
from otbench_datasets.w2_benchmark.checkpoints import Arrays, Digest, check_tensors, read_tensors

STRONG_CONVEXITY = 1e-2
"""Strong convexity of the potentials in the benchmark. It is not stored in the files and differs
from the 1e-4 of their training."""


class DenseICNN(NamedTuple):
    """The checkpoints' input-convex network with quadratic skip connections.

    Attributes
    ----------
    factors : tuple of Array, each (n, h)
        Weights of the quadratic terms.
    kernels, biases : tuple of Array, (n, h) and (h,)
    inner : tuple of Array, (h, next h)
        Non-negative.
    final : Array, shape (h,)
        Non-negative.
    """

    factors: tuple[Array, ...]
    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    inner: tuple[Array, ...]
    final: Array

    def __call__(self, x: Array) -> Array:
        """Evaluate at x (m, n), with CELU after all layers except the first."""
        skips = [
            (x @ a) ** 2 + x @ w + b
            for a, w, b in zip(self.factors, self.kernels, self.biases, strict=True)
        ]
        units = skips[0]
        for inner, skip in zip(self.inner, skips[1:], strict=True):
            units = elu(units @ inner + skip)
        return units @ self.final + 0.5 * STRONG_CONVEXITY * jnp.sum(x * x, axis=-1)


def read_checkpoint(file: Path, dimension: int, check: Digest | None = None) -> DenseICNN:
    """Read a potential from a file such as the release's ``N_v1.pt`` and ``N_v2.pt``.

    Parameters
    ----------
    file : Path
    dimension : int
        Expected dimension of the potential.
    check : callable, optional
        Called with the file and its sha256 before anything is loaded.

    Raises
    ------
    ValueError
        If the file does not contain such a network, if the network has another dimension, or if
        weights are not finite or are negative, which would make the potential non-convex.
    OSError
        If the file cannot be read.
    """
    tensors = read_tensors(file, check)
    expected, depth = _expected_shapes(tensors, dimension)
    check_tensors(
        file,
        tensors,
        expected,
        kind="DenseICNN of rank 1",
        sized=f"in {dimension} dimensions",
        convex=lambda name: not name.startswith("quadratic"),
    )
    arrays = {name: jnp.asarray(value) for name, value in tensors.items()}
    quadratic = [f"quadratic_layers.{k}." for k in range(depth)]
    return DenseICNN(
        tuple(arrays[p + "quadratic_decomposed"][:, 0] for p in quadratic),
        tuple(arrays[p + "weight"].T for p in quadratic),
        tuple(arrays[p + "bias"] for p in quadratic),
        tuple(arrays[f"convex_layers.{k}.weight"].T for k in range(depth - 1)),
        arrays["final_layer.weight"][0],
    )


def _expected_shapes(arrays: Arrays, dimension: int) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the shapes of a network with the given biases, by name, and its depth."""
    widths: list[int] = []
    while (bias := f"quadratic_layers.{len(widths)}.bias") in arrays:
        widths.append(arrays[bias].size)
    shapes: dict[str, tuple[int, ...]] = {}
    for k, width in enumerate(widths):
        shapes[f"quadratic_layers.{k}.quadratic_decomposed"] = (dimension, 1, width)
        shapes[f"quadratic_layers.{k}.weight"] = (width, dimension)
        shapes[f"quadratic_layers.{k}.bias"] = (width,)
        if k:
            shapes[f"convex_layers.{k - 1}.weight"] = (width, widths[k - 1])
        if k == len(widths) - 1:
            shapes["final_layer.weight"] = (1, width)
    return shapes, len(widths)
