"""Shallow features of AlexNet, for a cost between images that does not compare pixels."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from otbench.nn.lpips import Scaling, Trunk

ASSET, WEIGHTS = "lpips-alex", "lpips-alex.safetensors"
"""The asset that holds the weights, trained on ImageNet, and the file in its folder."""

SMALLEST = 16
"""Smallest side in pixels that leaves the second convolution an input."""


class AlexNetTaps(nn.Module):
    """AlexNet up to the rectifier of its second convolution; both rectified maps are features.

    Krizhevsky 2014, arXiv 1404.5997, as in torchvision; frozen. The weights come from LPIPS
    (`ASSET`), but its heads, its deeper layers and its normalisation of each feature vector are not
    used. The distance of these features is therefore not the one that is reported as ``lpips``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scaling_layer, self.net = Scaling(), Trunk(depth=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map images on [-1, 1] to feature vectors.

        Parameters
        ----------
        x : Tensor, shape (n, c, h, w)
            Gray (repeated to three colours) or RGB; sides of at least `SMALLEST`.

        Returns
        -------
        Tensor, shape (n, m)
            Weighted so that the mean squared difference of two vectors is the average of the mean
            squared differences of the two layers.
        """
        layers = [features.flatten(1) for features in self.net(self.scaling_layer(x))]
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
    network = AlexNetTaps()
    with safe_open(folder / WEIGHTS, "pt") as held:
        names = set(held.keys()) & set(network.state_dict())
        network.load_state_dict({name: held.get_tensor(name) for name in names})
    return network.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
