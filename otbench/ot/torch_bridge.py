"""Conversion of points between torch and JAX; compiled functions on batches of any size."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch
from jax import Array
from torch import Tensor

BUCKETS = (64, 256, 1024)
"""Sizes that batches are padded to, so that few shapes are ever compiled."""

SEEDS = 2**32
"""JAX keys take 32 bits."""


def check_batch(x: Tensor, dimension: int) -> None:
    """Raise ValueError unless x is a batch (m, dimension) of at least one point."""
    if x.ndim != 2 or x.shape[1] != dimension or not len(x):
        raise ValueError(
            f"points must have shape (m, {dimension}) with m >= 1, got {tuple(x.shape)}"
        )


def to_jax(x: Tensor) -> Array:
    """Convert a tensor to a JAX array; on a GPU that both libraries see, it stays there."""
    x = x.detach().contiguous()
    if x.is_cuda and jax.default_backend() == "gpu":
        return jnp.asarray(jax.dlpack.from_dlpack(x), jnp.float32)
    return jnp.asarray(x.cpu().numpy(), jnp.float32)


def to_torch(x: Array, device: torch.device) -> Tensor:
    """Convert an array to a torch tensor on the device."""
    return torch.from_dlpack(x).to(device)


def in_buckets(function: Callable[[Array], tuple[Array, ...]], x: Array) -> tuple[Array, ...]:
    """Apply a compiled function to rows in batches of the sizes of BUCKETS, the last one padded."""
    results = []
    for first in range(0, len(x), BUCKETS[-1]):
        part = x[first : first + BUCKETS[-1]]
        size = next(b for b in BUCKETS if b >= len(part))
        padded = jnp.pad(part, ((0, size - len(part)), (0, 0)), mode="edge")
        results.append([value[: len(part)] for value in function(padded)])
    return tuple(jnp.concatenate(parts) for parts in zip(*results, strict=True))
