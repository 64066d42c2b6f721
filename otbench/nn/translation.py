"""Networks of image translation: a U-Net that may take noise, and a scalar residual network.

The layout follows the release of Neural optimal transport (Korotin et al. 2022), whose sizes are
one of its settings. Group normalisation replaces batch normalisation, so that an image's
translation does not depend on other images.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Slope of the potential's leaky rectifier for negative input."""

GROUP = 8
"""Number of channels that are normalised together, if there are as many."""

RESIDUE = 0.1
"""Weight of a residual block's branch."""

STRETCH, BEND = 1.7159, 2 / 3
"""Constants of the bounded output STRETCH tanh(BEND o) (LeCun et al. 1998b), 1 at o = 1."""


def _normalised(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // GROUP), channels)


def _pair(inputs: int, outputs: int, between: int = 0) -> nn.Sequential:
    between = between or outputs
    return nn.Sequential(
        nn.Conv2d(inputs, between, 3, padding=1, bias=False),
        _normalised(between),
        nn.ReLU(inplace=True),
        nn.Conv2d(between, outputs, 3, padding=1, bias=False),
        _normalised(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Maps images and noise maps to images, with skip connections at every scale.

    Parameters
    ----------
    channels : int
        Colours.
    noise : int
        Number of noise maps that are added to the input channels.
    width : int
        Channels at full size, doubled at each scale but the last; 48 in the release.
    scales : int
        Number of halvings; both sides must be multiples of 2^scales. 4 in the release.
    residual : bool
        Add the network to the image; its last layer starts at a tenth of its size, so that the map
        starts near the identity.
    bounded : bool
        Bound the output to `STRETCH` tanh(`BEND` o); with ``residual``, o = 0 gives the image.
    """

    def __init__(
        self,
        channels: int,
        noise: int = 0,
        width: int = 16,
        scales: int = 2,
        residual: bool = True,
        bounded: bool = False,
    ) -> None:
        super().__init__()
        self.residual, self.bounded, self.channels = residual, bounded, channels
        widths = [width << scale for scale in range(scales)] + [width << max(scales - 1, 0)]
        self.stem = _pair(channels + noise, width)
        self.down = nn.ModuleList(_pair(a, b) for a, b in itertools.pairwise(widths))
        below = widths[-1]
        up = []
        for scale in reversed(range(scales)):
            across = widths[scale]
            after = max(width, across // 2)
            up.append(_pair(below + across, after, (below + across) // 2))
            below = after
        self.up = nn.ModuleList(up)
        self.last = nn.Conv2d(below, channels, 1)

    def start_near_identity(self) -> None:
        """Scale the last layer to a tenth if the network is added to the image."""
        if self.residual:
            with torch.no_grad():
                self.last.weight.mul_(0.1)
                self.last.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels + noise, h, w), the image on [-1, 1] first, to (n, channels, h, w)."""
        image = x[:, : self.channels]
        x = self.stem(x)
        across = [x]
        for block in self.down:
            x = block(functional.max_pool2d(x, 2))
            across.append(x)
        across.pop()
        for block in self.up:
            wide = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = block(torch.cat([across.pop(), wide], 1))
        x = self.last(x)
        if not self.bounded:
            return image + x if self.residual else x
        if self.residual:
            x = x + torch.atanh(image / STRETCH) / BEND
        return STRETCH * torch.tanh(BEND * x)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        between = min(inputs, outputs)
        self.first = nn.Conv2d(inputs, between, 3, padding=1)
        self.second = nn.Conv2d(between, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        branch = self.second(functional.leaky_relu(self.first(x), SLOPE))
        straight = x if self.shortcut is None else self.shortcut(x)
        return functional.leaky_relu(straight + RESIDUE * branch, SLOPE)


class ResidualPotential(nn.Module):
    """Maps images to one real number each, by residual blocks without normalisation.

    A convolution is followed by blocks at every size down to one below 8, and a linear layer.
    Blocks come before the first halving, as in the release: a potential that averages pixels first
    is blind to stripes and lets the map draw them. Halvings are 2x2 means. The release has
    overlapping 3x3 means, with which maps took longer to train here.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; the sides multiples of ``patch``, at least 4.
    width : int
        Channels at full size, doubled at each size up to ``widest``; 64 and 512 in the release.
    widest : int
    blocks : int
        Residual blocks at each size, of which the last doubles the channels; 2 in the release.
    patch : int
        Squares with this side in pixels enter as the channels of one place, which loses nothing;
        1 in the release.
    scaled : bool
        Divide the number by the square root of the d = c h w inputs. A cost that is a mean over d
        inputs has slopes of order 1 / d; an untrained network has slopes of order 1 / sqrt(d).
        Without the division, as in the release, the first updates only make the potential small.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        width: int = 32,
        widest: int = 128,
        blocks: int = 1,
        patch: int = 1,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        channels, *sides = image_shape
        height, breadth = (side // patch for side in sides)
        layers: list[nn.Module] = [
            nn.PixelUnshuffle(patch),
            nn.Conv2d(channels * patch**2, width, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        while True:
            wider = min(2 * width, widest)
            layers += [_Residual(width, width) for _ in range(blocks - 1)]
            layers += [_Residual(width, wider)]
            width = wider
            if min(height, breadth) < 8:
                break
            layers += [nn.AvgPool2d(2)]
            height, breadth = height // 2, breadth // 2
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.last = nn.Linear(width * height * breadth, 1)
        self.scale = math.prod(image_shape) ** -0.5 if scaled else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) on [-1, 1] to numbers (n,)."""
        values: Tensor = self.last(self.body(x))
        return self.scale * values[:, 0]
