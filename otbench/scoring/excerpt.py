"""Small data and methods that learn nothing, to test metrics before any training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otbench.interface.data import ImageDataset, MeasurePair
from otbench.interface.method import Autoencoder, MethodCard, TransportMap
from otbench.interface.training import FitContext

IMAGES = 64
"""Number of images of each split in an excerpt."""


@dataclass
class IdentityCodes(Autoencoder):
    """An autoencoder whose codes are the pixels."""

    card = MethodCard("identity-codes", "none")

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Learn nothing."""

    def encode(self, x: Tensor) -> Tensor:
        """Return the pixels."""
        self.shape_ = x.shape[1:]
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """Return the codes as images."""
        return z.unflatten(1, self.shape_).clamp(0, 1)


@dataclass
class IdentityMap(TransportMap):
    """The identity map."""

    card = MethodCard("identity-map", "none")

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Learn nothing."""

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the points themselves."""
        return x

    def pull(self, y: Tensor) -> Tensor:
        """Return the points themselves."""
        return y

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Return 0."""
        return 0.0


def excerpt(data: ImageDataset) -> ImageDataset:
    """Return the same data set with a few images of each split, in proportion to the classes."""
    train, validation, test = (
        split.sample(IMAGES) for split in (data.train, data.validation, data.test)
    )
    pairs = None if data.scene is None else data.pairs
    return replace(data, train=train, validation=validation, test=test, pairs=pairs)
