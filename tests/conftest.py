"""Fixtures that several test modules share."""

from __future__ import annotations

import os

# One thread a worker, before a numerical library is loaded: two workers share two cores. Child
# processes inherit it. What JAX compiles is kept for the other worker, child processes and the
# next session.
for _name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
    os.environ.setdefault(f"{_name}_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

# Leave out XLA's expensive optimisations, which take longer than a test runs; results agree up to
# rounding. Child processes do not inherit it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from otbench.conformance import tiny_images
from otbench.interface import ImageDataset
from otbench.interface.training import Budget, FitContext


def pytest_configure(config: pytest.Config) -> None:
    """Share compiled JAX functions below pytest's cache folder, for workers and children alike."""
    folder = config.rootpath / ".pytest_cache" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one file on one worker, so that they share what their fixtures trained.

    The conformance of each method stands for itself, and is spread.
    """
    for item in items:
        if item.path.name != "test_conformance.py":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


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


@pytest.fixture
def strict_dtypes() -> Iterator[None]:
    """Forbid JAX to promote dtypes by itself.

    Not for tests that step through optax or OTT-JAX, which rely on it.
    """
    import jax

    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def strict_promotion(strict_dtypes: None) -> Iterator[None]:
    """Forbid JAX to promote dtypes or ranks by itself."""
    import jax

    with jax.numpy_rank_promotion("raise"):
        yield
