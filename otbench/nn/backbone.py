"""The convolutional autoencoder that all methods of the track ``matched`` share.

The network of ACAI (Berthelot, Raffel, Roy & Goodfellow 2018, arXiv 1807.07543, appendix, and
``lib/layers.py`` of their release), for images whose side is a multiple of 8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Slope of the leaky rectifier for negative input (ACAI's)."""


def initialise(module: nn.Module, generator: torch.Generator, gain: float = 2.0) -> None:
    """Initialise all convolutions and linear layers from a normal law, and biases with 0.

    Parameters
    ----------
    module : nn.Module
    generator : torch.Generator
    gain : float
        The variance is gain / ((1 + SLOPE^2) fan_in): 2 is He's for the leaky rectifier, which
        reaches the same error in fewer steps at short budgets; 1 is ACAI's.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            std = math.sqrt(gain / ((1 + SLOPE**2) * fan_in))
            with torch.no_grad():
                layer.weight.normal_(0, std, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()


def _block(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]


def folded(stem: nn.Conv2d, following: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution and the 3x3 convolution after it as one convolution.

    No activation lies between them. A channel of ones carries the stem's bias, so that the zero
    padding between the two convolutions is respected at the border. The result is the same up to
    rounding. The widest layer of the network then reads c + 1 channels instead of 16, which saves
    about a sixth of a training step.
    """
    assert stem.bias is not None
    carried = torch.cat([stem.weight[:, :, 0, 0], stem.bias[:, None]], dim=1)
    kernel = torch.einsum("omhw,mi->oihw", following.weight, carried)
    padded = functional.pad(x, (0, 0, 0, 0, 0, 1), value=1.0)
    padded = padded.contiguous(memory_format=torch.channels_last)
    return functional.conv2d(padded, kernel, following.bias, padding=1)


class Encoder(nn.Sequential):
    """ACAI's encoder: a linear 1x1 stem, then ``scales`` times two convolutions and a pooling.

    Parameters
    ----------
    channels : int
        Colours of the image.
    depth : int
        Channels after the stem, doubled at each scale.
    latent : int
        Channels of the code.
    scales : int
        Number of halvings of the image: 32x32 with 3 scales gives a code of (latent, 4, 4).
    stem, widening : int
        Side of the first kernel, and a factor on the channels before the code: 1 and 1 in ACAI,
        3 and 2 in the release of Feng & Strohmer.
    """

    def __init__(
        self,
        channels: int,
        depth: int = 16,
        latent: int = 16,
        scales: int = 3,
        stem: int = 1,
        widening: int = 1,
    ) -> None:
        layers: list[nn.Module] = [nn.Conv2d(channels, depth, stem, padding=stem // 2)]
        width = depth
        for scale in range(scales):
            layers += [*_block(width, depth << scale), nn.AvgPool2d(2)]
            width = depth << scale
        layers += [
            nn.Conv2d(width, widening * (depth << scales), 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(widening * (depth << scales), latent, 3, padding=1),
        ]
        super().__init__(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) to codes (n, latent, h / 2^scales, w / 2^scales)."""
        stem, following, *rest = self
        assert isinstance(stem, nn.Conv2d)
        assert isinstance(following, nn.Conv2d)
        x = folded(stem, following, x) if stem.kernel_size == (1, 1) else following(stem(x))
        for layer in rest:
            x = layer(x)
        return x


class Decoder(nn.Sequential):
    """ACAI's decoder; it returns pixel logits, one per colour, without a final squashing.

    Parameters
    ----------
    channels, depth, latent, scales : int
        As for `Encoder`.
    """

    def __init__(self, channels: int, depth: int = 16, latent: int = 16, scales: int = 3) -> None:
        layers: list[nn.Module] = []
        width = latent
        for scale in reversed(range(scales)):
            layers += [*_block(width, depth << scale), nn.Upsample(scale_factor=2)]
            width = depth << scale
        layers += [
            nn.Conv2d(width, depth, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(depth, channels, 3, padding=1),
        ]
        super().__init__(*layers)


class Backbone(nn.Module):
    """Encoder and decoder of the track ``matched``, with a code of (latent, h / 8, w / 8).

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; both sides multiples of 8.
    likelihood : {"bernoulli", "gaussian"}
        ``bernoulli``: images in [0, 1] go in, logits come out, the loss is the binary
        cross-entropy summed over an image. ``gaussian``: ACAI's own, images in [-1, 1] go in and
        come out, the loss is the mean squared error.
    stem, widening : int
        See `Encoder`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        likelihood: str = "bernoulli",
        stem: int = 1,
        widening: int = 1,
    ) -> None:
        super().__init__()
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"likelihood must be bernoulli or gaussian, got {likelihood!r}")
        channels, height, width = image_shape
        if height % 8 or width % 8:
            raise ValueError(f"both sides must be multiples of 8, got {height}x{width}")
        self.likelihood = likelihood
        self.code_shape = (16, height // 8, width // 8)
        self.encoder = Encoder(channels, stem=stem, widening=widening)
        self.decoder = Decoder(channels)

    @property
    def code_dimension(self) -> int:
        """Dimension of a code."""
        return math.prod(self.code_shape)

    def encode(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to flat codes (n, d)."""
        if self.likelihood == "gaussian":
            x = 2 * x - 1
        return self.encoder(x.contiguous(memory_format=torch.channels_last)).flatten(1)

    def output(self, z: Tensor) -> Tensor:
        """Map flat codes (n, d) to the parameters of the likelihood, (n, c, h, w)."""
        grid = z.unflatten(1, self.code_shape).contiguous(memory_format=torch.channels_last)
        return self.decoder(grid)

    def to_image(self, output: Tensor) -> Tensor:
        """Map the decoder's output to images in [0, 1]."""
        if self.likelihood == "gaussian":
            return ((output + 1) / 2).clamp(0, 1)
        return torch.sigmoid(output)

    def decode(self, z: Tensor) -> Tensor:
        """Map flat codes (n, d) to images (n, c, h, w) in [0, 1]."""
        return self.to_image(self.output(z))

    def reconstruction_loss(self, output: Tensor, x: Tensor) -> Tensor:
        """Compare the decoder's output with images x in [0, 1]; return the mean over the batch.

        ``bernoulli``: nats per image. ``gaussian``: mean squared error per pixel on [-1, 1].
        """
        if self.likelihood == "gaussian":
            return functional.mse_loss(output, 2 * x - 1)
        total = functional.binary_cross_entropy_with_logits(output, x, reduction="sum")
        return total / len(x)
