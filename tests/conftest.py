"""Fixtures that several test modules share."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

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
    """Return OTT-JAX's own `conjugate` and `neuraldual` modules, loaded without flax.

    Importing them the usual way pulls all of `ott.neural` in, and with it flax, which is no
    dependency. Only OTT's networks are built on it; stand-ins without a body take their place, and
    tests bring networks of their own, as `neuraldual` allows. Without OTT the test is skipped.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pytest.importorskip("jaxopt")
        pytest.importorskip("ott.problems.linear.potentials")
    spec = importlib.util.find_spec("ott")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "neural"
    prefix = "ott.neural"
    layers = f"{prefix}.networks.layers"
    stand_ins = {
        name: ModuleType(name)
        for name in (
            prefix,
            f"{prefix}.networks",
            layers,
            f"{prefix}.networks.icnn",
            f"{prefix}.networks.potentials",
        )
    }
    networks = stand_ins[f"{prefix}.networks"]
    for name, classes in (("icnn", ("ICNN",)), ("potentials", ("BasePotential", "PotentialMLP"))):
        module = stand_ins[f"{prefix}.networks.{name}"]
        vars(module).update({c: type(c, (), {}) for c in classes})
        setattr(networks, name, module)

    def load(name: str, file: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    before = set(sys.modules)
    sys.modules.update(stand_ins)
    try:
        conjugate = load(f"{layers}.conjugate", folder / "networks" / "layers" / "conjugate.py")
        vars(stand_ins[layers])["conjugate"] = conjugate
        neuraldual = load(f"{prefix}.methods.neuraldual", folder / "methods" / "neuraldual.py")
    finally:
        for name in set(sys.modules) - before:
            if name.startswith(prefix):
                del sys.modules[name]
    return SimpleNamespace(conjugate=conjugate, neuraldual=neuraldual)
