"""Fixtures of the metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from otbench.assets import store
from otbench.interface import ImageDataset, ImagePair, Split
from otbench.interface.artefacts import Translated
from otbench.interface.scoring import ScoreContext
from otbench.metrics import domain, features, lpips
from otbench.nn.lpips import LPIPSNetwork


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
        state = LPIPSNetwork().state_dict()
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


MODES, SIDE = 4, 16


@pytest.fixture(scope="session")
def image_pair() -> ImagePair:
    """Return soft discs and hard squares in four corners, RGB; the corner is the mode."""
    return make_pair(3, True)


@pytest.fixture(scope="session")
def bare_pair() -> ImagePair:
    """Return the same in gray and without labels."""
    return make_pair(1, False)


def make_pair(channels: int, labelled: bool) -> ImagePair:
    """Draw 16x16 images on a dark ground; each side has a digest of its own."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.arange(SIDE) + 0.5

    def split(n: int, soft: bool) -> Split:
        labels = torch.randint(MODES, (n,), generator=generator)
        centres = 4 + 8 * torch.stack([labels // 2, labels % 2], 1)
        centres = centres + torch.rand(n, 2, generator=generator) - 0.5
        rows = (axis.view(1, -1, 1) - centres[:, 0].view(-1, 1, 1)).abs()
        columns = (axis.view(1, 1, -1) - centres[:, 1].view(-1, 1, 1)).abs()
        disc, square = torch.exp(-(rows**2 + columns**2) / 8), (torch.maximum(rows, columns) < 3)
        colour = 0.3 + 0.7 * torch.rand(n, channels, 1, 1, generator=generator)
        images = (disc if soft else square.float()).unsqueeze(1) * colour
        return Split(images, labels if labelled else None)

    def side(name: str, soft: bool) -> ImageDataset:
        splits = [split(n, soft) for n in (256, 128, 160)]
        digest = f"{name}-{channels}-{labelled}"
        return ImageDataset(
            name, "tiny", *splits, sha256=digest, classes=MODES if labelled else None
        )

    return ImagePair("discs-to-squares", "tiny", side("discs", True), side("squares", False))


@pytest.fixture(scope="session")
def classifier_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that the classifiers of all tests are kept in."""
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture
def pair_scoring(
    image_pair: ImagePair, classifier_home: Path, monkeypatch: pytest.MonkeyPatch
) -> ScoreContext:
    """Return a context for the labelled pair; its classifier is trained once, and shortly."""
    monkeypatch.setattr(domain, "STEPS", 80)
    monkeypatch.setenv("OTBENCH_HOME", str(classifier_home))
    return ScoreContext(torch.device("cpu"), 0, image_pair)


@pytest.fixture
def translated(image_pair: ImagePair) -> Callable[..., Translated]:
    """Return what makes an artefact of the pair's test images; by default the perfect map's."""

    def make(generated: Tensor | None = None, **changes: Any) -> Translated:
        source, target = image_pair.source_images.test, image_pair.target_images
        n = len(source.images)
        if generated is None:
            generated = target.train.images[:n]
        contents = {"source": source.images[: len(generated)], "again": target.validation.images}
        contents |= {"excess": 0.0, "samples": None, "labels": target.test.labels} | changes
        return Translated(target.test.images, generated, False, **contents)

    return make
