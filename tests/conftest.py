"""Fixtures that several test modules share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from otbench.conformance import tiny_images
from otbench.interface import ImageDataset
from otbench.interface.training import Budget, FitContext


@pytest.fixture(scope="session")
def blobs() -> ImageDataset:
    """Return a small labelled data set of 32x32 gray images."""
    return tiny_images((256, 64, 128))


@pytest.fixture
def short() -> FitContext:
    """Return a context for a handful of steps on the CPU."""
    return FitContext(Budget(steps=8, batch_size=16), seed=0)


@pytest.fixture(scope="module")
def compile_quickly() -> Iterator[None]:
    """Leave out XLA's expensive optimisations, which take longer than a test runs.

    Results agree up to rounding.
    """
    import jax

    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def ott_neural() -> SimpleNamespace:
    """Return OTT-JAX's own `conjugate` and `neuraldual` modules; without flax, skip the test."""
    pytest.importorskip("flax")
    pytest.importorskip("diffrax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ott.neural.methods import neuraldual
        from ott.neural.networks.layers import conjugate
    return SimpleNamespace(conjugate=conjugate, neuraldual=neuraldual)
