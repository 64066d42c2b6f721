"""What a trained autoencoder takes: images of the size, type and range of its training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from otbench.conformance import tiny_images
from otbench.interface import Budget, FitContext
from otbench.plugins.registry import Registry
from otbench_methods.autoencoders.base import BackboneAutoencoder

NAMES = ["acai", "ae", "not-ae", "path-energy", "vae", "w2-icnn"]


@pytest.fixture(scope="module", params=NAMES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Return a method after one update, saved and loaded again."""
    cls = Registry("methods").get(request.param).load()
    assert issubclass(cls, BackboneAutoencoder)
    method = cls()
    method.fit(tiny_images(), FitContext(Budget(1, 8)))
    folder: Path = tmp_path_factory.mktemp("model")
    method.save(folder)
    return cls.load(folder)


def calls(method, x: torch.Tensor):
    return {
        "encode": lambda: method.encode(x),
        "interpolate": lambda: method.interpolate(x, x, torch.linspace(0, 1, 3)),
        "barycenter": lambda: method.barycenter(x, torch.tensor([[0.5, 0.5]])),
    }


@pytest.mark.parametrize("call", ["encode", "interpolate", "barycenter"])
def test_other_sizes_types_and_ranges_are_refused_by_name(trained, call: str) -> None:
    fine = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    name = rf"{type(trained).__name__}\.{call}"
    for images, message in (
        (fine[..., :28, :28], r"got images of shape \(2, 1, 28, 28\), wanted \(n, 1, 32, 32\)"),
        (fine.expand(-1, 3, -1, -1), r"got images of shape \(2, 3, 32, 32\), wanted"),
        (fine[0], r"got images of shape \(1, 32, 32\), wanted"),
        (255 * fine, r"has values from .* to 25\d.*, wanted \[0, 1\]"),
        (2 * fine - 1, r"wanted \[0, 1\]; rescale images on \[-1, 1\] with"),
        ((255 * fine).byte(), r"got images of torch.uint8, wanted torch.float32"),
        (fine / 0 * 0, "not finite"),
    ):
        with pytest.raises(ValueError, match=f"{name} .*{message}"):
            calls(trained, images)[call]()
    assert torch.isfinite(calls(trained, fine)[call]()).all()


def test_the_second_end_is_checked_too(trained) -> None:
    fine = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"interpolate .* wanted \[0, 1\]"):
        trained.interpolate(fine, 255 * fine, torch.tensor([0.5]))
