"""What data sets of two distributions share: digests, checks, and pairs whose map is a gradient."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from otbench.errors import UsageError
from otbench.interface import JaxSampler, MeasurePair

if TYPE_CHECKING:
    from otbench.ot.w2.benchmark_pairs import Pair
    from otbench.ot.w2.image_pairs import ImagePair


def definition_digest(name: str, version: int, **definition: Any) -> str:
    """Return the sha256 of what defines two distributions.

    Parameters
    ----------
    name : str
    version : int
        Of the code that draws them: raised when it draws something else. Points themselves are no
        good for a digest, their last bits depend on the machine.
    **definition
        Plain values.
    """
    content = json.dumps({"name": name, "version": version, **definition}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def check_range(name: str, parameter: str, value: int, low: int, high: int) -> None:
    """Raise a UsageError unless low <= value <= high."""
    if not low <= value <= high:
        raise UsageError(f"{name}: {parameter} must be from {low} to {high}, got {value}")


def check_seed(name: str, seed: int) -> None:
    """Raise a UsageError unless every generator in use takes the seed."""
    check_range(name, "seed", seed, 0, 2**31 - 1)


class KnownMap(MeasurePair):
    """A law under a known gradient: a pair of `otbench.ot.w2.benchmark_pairs` or `image_pairs`.

    There is no closed form of the distance; where the map is known it can be had from points.

    Parameters
    ----------
    name, sha256 : str
    pair : otbench.ot.w2.benchmark_pairs.Pair or otbench.ot.w2.image_pairs.ImagePair
    chunk : int
        Points that compiled code takes at once, so that it is compiled once for all sizes.
    """

    variant = "default"

    def __init__(self, name: str, sha256: str, pair: Pair | ImagePair, chunk: int = 4096) -> None:
        import jax

        self.name, self.sha256 = name, sha256
        self.dimension = pair.dimension
        self._pair, self._chunk = pair, chunk
        self._source = jax.jit(partial(pair.sample_source, count=chunk))
        self._push = jax.jit(pair.push)

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the source; the JAX key comes from the generator."""
        import jax

        key = jax.random.key(int(torch.randint(2**31, (), generator=generator)))
        chunks = [
            np.asarray(self._source(jax.random.fold_in(key, i)))
            for i in range(-(-n // self._chunk))
        ]
        return torch.from_numpy(np.concatenate(chunks)[:n])

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the source and carry them by the true map."""
        return self.true_map(self.source(n, generator))

    def true_map(self, x: Tensor) -> Tensor:
        """Carry points (n, d) by the gradient, in float32."""
        points = x.numpy(force=True).astype(np.float32)
        moved, chunk = np.empty_like(points), self._chunk
        for start in range(0, len(points), chunk):
            part = points[start : start + chunk]
            padded = np.pad(part, ((0, chunk - len(part)), (0, 0)))
            moved[start : start + chunk] = np.asarray(self._push(padded))[: len(part)]
        return torch.from_numpy(moved).to(x.device)

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler]:
        """Return the samplers of the source and of its image."""
        return self._pair.sample_source, self._pair.sample_target
