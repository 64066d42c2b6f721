"""Feature extractors for distances between sets of images."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from otbench.assets import store
from otbench.assets.kept import write_whole
from otbench.home import home
from otbench.interface.data import ImageDataset, ImagePair
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images
from otbench.metrics.lenet import SIDE, load_lenet
from otbench.nn.inception import TAPS, InceptionV3

INCEPTION_ASSET = "inception-fid"
INCEPTION_WEIGHTS = "inception-fid.safetensors"
"""File in the asset's folder; its keys are those of the state of ``fid_inception_v3()``."""

Extractor = Callable[[Tensor], Tensor]


def canonical(name: str) -> str:
    """Return the full name of an extractor: ``inception`` is ``inception-2048``.

    Raises
    ------
    ValueError
        If there is no extractor of that name.
    """
    name = "inception-2048" if name == "inception" else name
    known = ["lenet", *(f"inception-{d}" for d in TAPS)]
    if name not in known:
        raise ValueError(f"features are one of {', '.join(known)}; got {name!r}")
    return name


def assets(name: str) -> tuple[str, ...]:
    """Return the names of the weights that an extractor needs; those of lenet are included."""
    return () if name == "lenet" else (INCEPTION_ASSET,)


def missing(name: str, data: ImageDataset | ImagePair) -> str | None:
    """Return why an extractor cannot read the images, or None."""
    height, width = data.image_shape[1:]
    if name == "lenet" and (height, width) != (SIDE, SIDE):
        return f"lenet reads {SIDE}x{SIDE} images, got {height}x{width}"
    return None


def load_inception(folder: Path, device: torch.device, dimension: int = 2048) -> InceptionV3:
    """Build the Inception network with the weights in a folder, without downloading.

    Parameters
    ----------
    folder : Path
    device : torch.device
    dimension : {64, 192, 768, 2048}
        Number of features; 2048 is the last pooling, as in the usual FID.

    Raises
    ------
    RuntimeError
        If a weight is missing, unknown, or of the wrong shape.
    """
    state = load_file(folder / INCEPTION_WEIGHTS)
    # A file may contain the classification layer, on which no feature depends.
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    network = InceptionV3(dimension)
    network.load_state_dict(state)
    network.requires_grad_(False).eval()
    # Channels last is 1.3 to 1.5 times faster on a CPU, and no slower on a GPU.
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def load_extractor(name: str, device: torch.device) -> Extractor:
    """Return a function that maps images (n, c, h, w) in [0, 1] to features (n, d)."""
    if name == "lenet":
        return load_lenet(device).features
    dimension = int(name.removeprefix("inception-"))
    network = load_inception(store.require(INCEPTION_ASSET), device, dimension)

    def extract(x: Tensor) -> Tensor:
        # 299x299 activations of a whole batch would take gigabytes.
        return torch.cat([network(part.expand(-1, 3, -1, -1)).mean((2, 3)) for part in x.split(32)])

    return extract


def on_disk(name: str, images: Tensor, compute: Callable[[], Tensor]) -> Tensor:
    """Cache a result computed from images in a file named by extractor, number and digest.

    The digest is that of the pixels, so results of other images cannot be mistaken for it. The file
    is written completely or not at all; if the folder is not writable, nothing is stored.
    """
    digest = hashlib.sha256(images.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    shape = "x".join(str(size) for size in images.shape)
    path = home() / "features" / f"{name}-{shape}-{digest[:32]}.safetensors"
    if path.exists():
        return load_file(path)["features"].to(images.device)
    features = compute()
    if not write_whole(path, {"features": features.cpu().contiguous()}):
        warnings.warn(f"features are not kept: cannot write {path.parent}", stacklevel=2)
    return features


def features_of(images: Tensor, name: str, ctx: ScoreContext, keep: bool = False) -> Tensor:
    """Return the features (n, d) of images, computed once per cell and stack of images.

    Parameters
    ----------
    images : Tensor, shape (n, c, h, w)
        In [0, 1].
    name : str
        Canonical name of an extractor.
    ctx : ScoreContext
    keep : bool
        Also store expensive features (Inception) on disk; for real images, which other cells use.
    """
    check_images(images=images)
    if name != "lenet" and images.shape[1] not in (1, 3):
        raise ValueError(f"Inception needs gray or RGB images, got {images.shape[1]} channels")

    def extract() -> Tensor:
        extractor = ctx.once(f"extractor/{name}", lambda: load_extractor(name, ctx.device))
        return ctx.batched(extractor, images)

    def compute() -> Tensor:
        dear = keep and name != "lenet"
        return on_disk(name, images, extract).to(ctx.device) if dear else extract()

    return ctx.once(f"features/{name}", compute, of=images)
