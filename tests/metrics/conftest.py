"""Fixtures of the metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from otbench.assets import store
from otbench.interface import ImageDataset
from otbench.metrics import features, lpips
from otbench.metrics.base import ScoreContext


@pytest.fixture
def scoring(blobs: ImageDataset) -> ScoreContext:
    """Return a context for small tests on the CPU; batches are smaller than the inputs."""
    return ScoreContext(torch.device("cpu"), 0, blobs, batch_size=4)


@pytest.fixture(scope="session")
def lpips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write random weights for LPIPS, heads non-negative as the published ones."""
    folder = tmp_path_factory.mktemp("lpips")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = lpips.bare_network().state_dict()
    state = {lpips.one_name(key): value for key, value in state.items()}
    heads = {key: value.abs() for key, value in state.items() if key.startswith("lin")}
    save_file({**state, **heads}, folder / lpips.WEIGHTS)
    return folder


@pytest.fixture
def lpips_weights(lpips_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the store hand out the random weights of LPIPS."""
    monkeypatch.setattr(store, "require", {lpips.ASSET: lpips_folder}.__getitem__)
    return lpips_folder


@pytest.fixture(scope="session")
def inception_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write random weights for Inception, scaled so that its features spread."""
    from pytorch_fid import inception as package
    from torchvision.models import inception_v3

    folder = tmp_path_factory.mktemp("inception")
    network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    network.Mixed_5b = package.FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = package.FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = package.FIDInceptionA(288, pool_features=64)
    for name, width in {"6b": 128, "6c": 160, "6d": 160, "6e": 192}.items():
        setattr(network, f"Mixed_{name}", package.FIDInceptionC(768, channels_7x7=width))
    network.Mixed_7b = package.FIDInceptionE_1(1280)
    network.Mixed_7c = package.FIDInceptionE_2(2048)
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for value in state.values():
        if value.dim() == 4:
            fan_in = value[0].numel()
            value.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
    kept = {key: value for key, value in state.items() if not key.startswith("fc.")}
    save_file(kept, folder / features.INCEPTION_WEIGHTS)
    return folder
