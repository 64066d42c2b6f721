"""LPIPS against the forward pass of the package it takes the network from."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from otbench.interface.artefacts import ComparedImages, Paths
from otbench.interface.scoring import ScoreContext
from otbench.metrics import lpips
from otbench.metrics.smoothness import LPIPSSmoothness

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def package(lpips_folder: Path) -> torch.nn.Module:
    """Return the package's own network, filled by its own means with the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lpips as module

        network = module.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    state = load_file(lpips_folder / lpips.WEIGHTS)
    both = {f"lins.{key[3]}{key[4:]}": v for key, v in state.items() if key.startswith("lin")}
    network.load_state_dict({**state, **both}, strict=True)
    return network.eval()


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_package(
    package: torch.nn.Module, lpips_weights: Path, channels: int, scoring: ScoreContext
) -> None:
    real, generated = torch.rand(2, 6, channels, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        inputs = (x.expand(-1, 3, -1, -1) for x in (real, generated))
        wanted = package(*inputs, normalize=True).flatten()
    distance = lpips.Perceptual(lpips.load_lpips(lpips_weights, CPU))
    assert distance(real, generated).tolist() == pytest.approx(wanted.tolist(), abs=1e-5)
    assert wanted.min() > 1e-3, "the comparison is empty if the distances vanish"
    value = lpips.LPIPS().compute(ComparedImages(real, generated), scoring)
    assert value.value == pytest.approx(float(wanted.mean()), abs=1e-5)


def test_steps_are_distances_of_neighbours(lpips_weights: Path) -> None:
    frames = torch.rand(2, 4, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    distance = lpips.Perceptual(lpips.load_lpips(lpips_weights, CPU))
    steps = distance.steps(frames)
    for i in range(3):
        assert torch.allclose(steps[:, i], distance(frames[:, i], frames[:, i + 1]), atol=1e-6)


def test_smoothness_of_a_single_jump(lpips_weights: Path, scoring: ScoreContext) -> None:
    ends = torch.rand(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    frames = torch.stack([ends[0]] * 3 + [ends[1]] * 2, 1)
    paths = Paths(ends[0], ends[1], frames, torch.linspace(0, 1, 5), ComparedImages(*ends))
    value = LPIPSSmoothness().compute(paths, scoring)
    assert value.value == pytest.approx(1 - 1 / 4, abs=1e-6)


def test_both_names_of_a_head_will_do(lpips_folder: Path, tmp_path: Path) -> None:
    state = load_file(lpips_folder / lpips.WEIGHTS)
    renamed = {
        f"lins.{key[3]}{key[4:]}" if key.startswith("lin") else key: value
        for key, value in state.items()
    }
    save_file(renamed, tmp_path / lpips.WEIGHTS)
    filled = lpips.load_lpips(tmp_path, CPU).state_dict()
    assert all(torch.equal(filled[key], value) for key, value in state.items())


def test_a_missing_weight_is_named(lpips_folder: Path, tmp_path: Path) -> None:
    state = load_file(lpips_folder / lpips.WEIGHTS)
    del state["lin3.model.1.weight"]
    save_file(state, tmp_path / lpips.WEIGHTS)
    with pytest.raises(ValueError, match=r"lin3\.model\.1\.weight"):
        lpips.load_lpips(tmp_path, CPU)


def test_names_its_protocol_and_weights() -> None:
    assert lpips.LPIPS("alex").id == "lpips[alex]"
    assert lpips.LPIPS().assets == ("lpips-alex",)
    with pytest.raises(ValueError, match="alex"):
        lpips.LPIPS("vgg")
