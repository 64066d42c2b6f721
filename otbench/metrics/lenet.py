"""A small digit classifier for the features of ``fid[lenet]``, with its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).parent / "weights" / "lenet.safetensors"
"""The weights written by ``python -m otbench.metrics.train_lenet``, with the accuracy as
metadata."""

SIDE = 32
"""Height and width of the images it reads."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luminance of ITU-R BT.601."""


class LeNet(nn.Module):
    """Two 5x5 convolutions with pooling and two linear layers, after LeNet-5.

    LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition",
    figure 2; with ReLUs, max pooling and 24 instead of 16 feature maps.
    """

    dimension = 84
    """Number of features: outputs of the penultimate layer, before the ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(8, 24, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * (SIDE // 4) ** 2, self.dimension),
        )
        self.head = nn.Linear(self.dimension, 10)

    def features(self, x: Tensor) -> Tensor:
        """Map images (n, c, 32, 32) in [0, 1], gray or RGB, to features (n, 84).

        RGB is converted to luminance (ITU-R BT.601).
        """
        if x.shape[1] == 3:
            weights = torch.tensor(LUMINANCE, dtype=x.dtype, device=x.device)
            x = (x * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)
        result: Tensor = self.body(x)
        return result

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, c, 32, 32) in [0, 1] to class scores (n, 10)."""
        scores: Tensor = self.head(torch.relu(self.features(x)))
        return scores


def load_lenet(device: torch.device) -> LeNet:
    """Return the frozen classifier with the included weights."""
    network = LeNet()
    network.load_state_dict(load_file(WEIGHTS))
    return network.requires_grad_(False).eval().to(device)
