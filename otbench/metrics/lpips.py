"""Learned perceptual similarity, as the ``lpips`` package computes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor

from otbench.assets import store
from otbench.interface.artefacts import ComparedImages
from otbench.interface.data import ImageDataset
from otbench.interface.metric import Direction, Metric, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_paired
from otbench.nn.lpips import LPIPSNetwork

ASSET = "lpips-alex"
WEIGHTS = "lpips-alex.safetensors"
"""File in the asset's folder; its keys are those of the ``lpips`` package."""

SMALLEST = 31
"""Smallest side in pixels for which AlexNet's second pooling has an input."""


def one_name(key: str) -> str:
    """Return the first of the two names that the ``lpips`` package gives each linear head."""
    return re.sub(r"^lins\.(\d+)", r"lin\1", key)


def load_lpips(folder: Path, device: torch.device) -> LPIPSNetwork:
    """Build the network with the weights of a folder.

    The package names each linear head twice (``lin0`` is ``lins.0``); one name is sufficient.

    Raises
    ------
    ValueError
        If a weight is missing, unknown, or of the wrong shape.
    """
    network = LPIPSNetwork()
    state = {one_name(key): value for key, value in load_file(folder / WEIGHTS).items()}
    amiss = sorted(state.keys() ^ network.state_dict().keys())
    if amiss:
        raise ValueError(f"{WEIGHTS} does not fit the network: missing or unknown {amiss}")
    network.load_state_dict(state)
    network.requires_grad_(False).eval()
    # Channels last is 1.4 times faster on a CPU.
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


class Perceptual:
    """The distance in two steps, so that an image passes through the network only once.

    Parameters
    ----------
    network : LPIPSNetwork
    """

    def __init__(self, network: LPIPSNetwork) -> None:
        self.network = network

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the five unit-normalised feature maps of images (n, c, h, w) in [0, 1].

        Gray is repeated to three channels; [0, 1] is mapped to the package's [-1, 1].
        """
        scaled = self.network.scaling_layer(2 * x.float() - 1).expand(-1, 3, -1, -1)
        # The package's own constant, which avoids division by zero at empty positions.
        return [
            map_ / (map_.norm(dim=1, keepdim=True) + 1e-10) for map_ in self.network.net(scaled)
        ]

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Return the distances, shape (n,), between two lists of feature maps."""
        layers = [
            head((u - v).square()).mean((1, 2, 3))
            for head, u, v in zip(self.network.lins, a, b, strict=True)
        ]
        return torch.stack(layers).sum(0)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances, shape (n,), between images (n, c, h, w) in [0, 1]."""
        return self.between(self.features(a), self.features(b))

    def steps(self, frames: Tensor) -> Tensor:
        """Return the distances, shape (n, k - 1), of adjacent frames (n, k, c, h, w)."""
        n, k = frames.shape[:2]
        maps = [map_.unflatten(0, (n, k)) for map_ in self.features(frames.flatten(0, 1))]
        before = [map_[:, :-1].flatten(0, 1) for map_ in maps]
        after = [map_[:, 1:].flatten(0, 1) for map_ in maps]
        return self.between(before, after).view(n, k - 1)


def perceptual(ctx: ScoreContext) -> Perceptual:
    """Return the distance with the published weights, read once per cell."""
    return ctx.once("lpips/alex", lambda: Perceptual(load_lpips(store.require(ASSET), ctx.device)))


def too_small(data: ImageDataset) -> str | None:
    """Return why AlexNet cannot read images of this size, or None."""
    side = min(data.image_shape[1:])
    return None if side >= SMALLEST else f"AlexNet needs sides of at least {SMALLEST}, got {side}"


@dataclass(frozen=True)
class LPIPS(Metric):
    """Learned perceptual distance between images and their reconstructions.

    Zhang, Isola, Efros, Shechtman & Wang 2018, arXiv 1801.03924, version 0.1 of the package. Images
    keep their own size (MNIST: 32x32), which is smaller than the 64x64 patches to which the
    distance was fitted. Values are comparable within a data set but not with those of large
    photographs.

    Parameters
    ----------
    net : {"alex"}
        The network under the distance.
    """

    net: Literal["alex"] = "alex"

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf)"
    title: ClassVar[str] = "Learned perceptual distance"

    @property
    def id(self) -> str:
        """Name with the network."""
        return f"lpips[{self.net}]"

    @property
    def assets(self) -> tuple[str, ...]:
        """The weights of the network and its heads."""
        return (ASSET,)

    def missing(self, data: ImageDataset) -> str | None:
        """Return a reason if AlexNet cannot read the images."""
        return too_small(data)

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Average over image pairs; the standard error is over them."""
        check_paired(artefact)
        return Value.of(ctx.batched(perceptual(ctx), artefact.real, artefact.generated))
