"""Fixtures that several test modules share."""

from __future__ import annotations

import pytest

from otbench.conformance import tiny_images
from otbench.context import Budget, FitContext
from otbench.interface import ImageDataset


@pytest.fixture(scope="session")
def blobs() -> ImageDataset:
    """Return a small labelled data set of 32x32 gray images."""
    return tiny_images((256, 64, 128))


@pytest.fixture
def short() -> FitContext:
    """Return a context for a handful of steps on the CPU."""
    return FitContext(Budget(steps=8, batch_size=16), seed=0)
