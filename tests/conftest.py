"""Fixtures that several test modules share."""

from __future__ import annotations

import pytest
import torch

from otbench.context import Budget, FitContext
from otbench.interface import ImageDataset, Split


def blob_images(n: int, generator: torch.Generator, side: int = 32) -> tuple[torch.Tensor, ...]:
    """Draw Gaussian blobs at random places; the label tells the half they lie in."""
    centre = torch.rand(n, 2, 1, 1, generator=generator) * 0.6 + 0.2
    axis = torch.linspace(0, 1, side)
    squared = (axis.view(1, -1, 1) - centre[:, 0]) ** 2 + (axis.view(1, 1, -1) - centre[:, 1]) ** 2
    images = torch.exp(-squared / (2 * 0.1**2)).unsqueeze(1)
    return images, (centre[:, 0, 0, 0] > 0.5).long()


@pytest.fixture(scope="session")
def blobs() -> ImageDataset:
    """Return a small labelled data set of 32x32 gray images."""
    generator = torch.Generator().manual_seed(0)
    splits = [Split(*blob_images(n, generator)) for n in (256, 64, 128)]
    return ImageDataset("blobs", "test", *splits, sha256="0" * 64, classes=2)


@pytest.fixture
def short() -> FitContext:
    """Return a context for a handful of steps on the CPU."""
    return FitContext(Budget(steps=8, batch_size=16), seed=0)
