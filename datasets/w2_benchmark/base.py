"""A pair of distributions whose optimal map is a known gradient field."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from otbench.interface import JaxSampler, MeasurePair

if TYPE_CHECKING:
    from otbench_datasets.w2_benchmark.benchmark_pairs import BenchmarkPair
    from otbench_datasets.w2_benchmark.image_pairs import BenchmarkImages


class KnownMap(MeasurePair):
    """A distribution and its image under a known gradient, from `benchmark_pairs` or `image_pairs`.

    The distance has no closed form, but it can be estimated from points and the known map.

    Parameters
    ----------
    name, sha256 : str
    pair : BenchmarkPair or BenchmarkImages
    chunk : int
        Number of points per call of compiled code, which is therefore compiled once for all sizes.
    """

    variant = "default"

    def __init__(
        self, name: str, sha256: str, pair: BenchmarkPair | BenchmarkImages, chunk: int = 4096
    ) -> None:
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
        """Draw n points of the source and map them by the true map."""
        return self.true_map(self.source(n, generator))

    def true_map(self, x: Tensor) -> Tensor:
        """Map points (n, d) by the gradient, in float32."""
        points = x.numpy(force=True).astype(np.float32)
        moved, chunk = np.empty_like(points), self._chunk
        for start in range(0, len(points), chunk):
            part = points[start : start + chunk]
            padded = np.pad(part, ((0, chunk - len(part)), (0, 0)))
            moved[start : start + chunk] = np.asarray(self._push(padded))[: len(part)]
        return torch.from_numpy(moved).to(x.device)

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler]:
        """Return the samplers of source and target."""
        return self._pair.sample_source, self._pair.sample_target
