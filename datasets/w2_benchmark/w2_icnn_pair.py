"""Pairs with a known map in any dimension, built from a random convex potential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otbench.interface import Dataset, MeasurePair, parameter
from otbench_datasets.definitions import definition_digest, drawing_seed
from otbench_datasets.w2_benchmark.base import KnownMap

VERSION = 1


@dataclass
class W2ICNNPair(Dataset):
    """A mixture of three Gaussians and its image under the gradient of a random convex potential.

    The pair resembles those of Korotin et al. 2021 but needs no download. The potential is a sum of
    smooth maxima, so the target is a mixture with soft boundaries (see `random_pair`). Both sides
    have mean 0 and mean variance 1 per coordinate.
    """

    dim: int = parameter(4, "dimension, 1 to 1024", low=1, high=1024)
    seed: int = drawing_seed("seed of the mixture and the potential, 0 to 2^31 - 1")

    title: ClassVar[str] = "A mixture under a random convex gradient, any dimension (known map)"

    def load(self) -> MeasurePair:
        """Build the pair; see `otbench.interface.Dataset.load`."""
        from otbench_datasets.w2_benchmark.benchmark_pairs import random_pair

        digest = definition_digest("w2-icnn-pair", VERSION, dim=self.dim, seed=self.seed)
        return KnownMap("w2-icnn-pair", digest, random_pair(self.dim, self.seed))
