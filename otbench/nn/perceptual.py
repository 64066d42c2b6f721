"""Shallow features of AlexNet, for a cost between images that is not one between pixels."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

ASSET, WEIGHTS = "lpips-alex", "lpips-alex.safetensors"
"""The asset that holds the weights, trained on ImageNet, and the file in its folder."""

SMALLEST = 16
"""Side in pixels below which the second convolution is left with nothing to read."""


class AlexNetTaps(nn.Module):
    """AlexNet up to the rectifier of its second convolution; both rectified maps are features.

    Krizhevsky 2014, arXiv 1404.5997, as in torchvision; frozen. The weights are those that LPIPS
    comes with (`ASSET`); its heads and deeper layers are not used, nor is its normalisation of
    each feature vector, so that this is not the distance that is reported as ``lpips``.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 11, stride=4, padding=2)
        self.second = nn.Conv2d(64, 192, 5, padding=2)
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map images on [-1, 1] to feature vectors.

        Parameters
        ----------
        x : Tensor, shape (n, c, h, w)
            Gray (repeated to three colours) or RGB; sides of at least `SMALLEST`.

        Returns
        -------
        Tensor, shape (n, m)
            Weighted so that the mean of the squared difference of two vectors is the average over
            the two layers of each layer's mean squared difference.
        """
        scaled = (x.expand(-1, 3, -1, -1) - self.shift) / self.scale
        one = torch.relu(self.first(scaled))
        two = torch.relu(self.second(nn.functional.max_pool2d(one, 3, stride=2)))
        layers = [one.flatten(1), two.flatten(1)]
        total = sum(layer.shape[1] for layer in layers)
        weighted = [layer * (total / (2 * layer.shape[1])) ** 0.5 for layer in layers]
        return torch.cat(weighted, dim=1)


def load_taps(folder: Path, device: str | torch.device = "cpu") -> AlexNetTaps:
    """Build the network with the weights in the folder of the asset.

    Raises
    ------
    RuntimeError
        If a weight is missing or of the wrong shape.
    """
    names = {
        "first": "net.slice1.0",
        "second": "net.slice2.3",
    }
    network = AlexNetTaps()
    with safe_open(folder / WEIGHTS, "pt") as held:
        known = held.keys()
        state = {
            f"{ours}.{part}": held.get_tensor(f"{theirs}.{part}")
            for ours, theirs in names.items()
            for part in ("weight", "bias")
            if f"{theirs}.{part}" in known
        }
        for name in ("shift", "scale"):
            if f"scaling_layer.{name}" in known:
                state[name] = held.get_tensor(f"scaling_layer.{name}")
    network.load_state_dict(state)
    return network.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
