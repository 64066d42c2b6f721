"""AlexNet with the linear heads of LPIPS (Zhang et al. 2018).

The weights are named as in the ``lpips`` package, so that its published weights can be loaded.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (64, 192, 384, 256, 256)
"""Channels after each of the five convolutions."""

POOLED = (1, 2)
"""Indices, from 0, of the convolutions that follow a pooling."""


class Scaling(nn.Module):
    """Normalises colours on [-1, 1] as in AlexNet's training on ImageNet."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise images (n, 3, h, w), or (n, 1, h, w), which become (n, 3, h, w)."""
        return (x - self.shift) / self.scale


class Trunk(nn.Module):
    """The convolutions of AlexNet, whose rectified maps are the features.

    Parameters
    ----------
    depth : int
        Number of convolutions, at most five.
    """

    def __init__(self, depth: int = len(WIDTHS)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 11, stride=4, padding=2)]
        layers += [
            nn.Conv2d(wide, next_, 5 if i == 1 else 3, padding=2 if i == 1 else 1)
            for i, (wide, next_) in enumerate(pairwise(WIDTHS[:depth]), start=1)
        ]
        place = 0
        for number, layer in enumerate(layers):
            part = nn.Sequential()
            if number in POOLED:
                part.add_module(str(place), nn.MaxPool2d(3, stride=2))
                place += 1
            part.add_module(str(place), layer)
            part.add_module(str(place + 1), nn.ReLU(inplace=True))
            place += 2
            self.add_module(f"slice{number + 1}", part)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of normalised images (n, 3, h, w)."""
        maps = []
        for part in self.children():
            # The next part starts with a convolution or a pooling, so it does not modify the kept
            # map in place.
            x = part(x)
            maps.append(x)
        return maps


class Head(nn.Module):
    """Weights of the channels of one feature map; not negative in the published network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential()
        self.model.add_module("1", nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Weigh a map (n, c, h, w), giving (n, 1, h, w)."""
        weighed: Tensor = self.model(x)
        return weighed


class LPIPSNetwork(nn.Module):
    """Scaling, trunk and heads, with random weights until a state is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.scaling_layer = Scaling()
        self.net = Trunk()
        for number, channels in enumerate(WIDTHS):
            self.add_module(f"lin{number}", Head(channels))

    @property
    def lins(self) -> list[Head]:
        """The heads, in the order of the maps."""
        return [getattr(self, f"lin{number}") for number in range(len(WIDTHS))]
