"""The network of NOT-AE: the matched backbone as a map of images, deterministic or noisy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from otbench.nn.backbone import Decoder, Encoder
from otbench.nn.scorer import ScoredBackbone

BANK = 1024
"""Number of noise vectors stored in a trained network, so that its samples are reproducible."""


class TransportBackbone(ScoredBackbone):
    """The backbone as a map of images on [-1, 1], with its potential.

    Parameters
    ----------
    image_shape : tuple of int
    squash : bool
        Bound the decoder's output o by 1.7159 tanh(2 o / 3) (LeCun et al. 1998b, Efficient
        BackProp, section 4.4). This maps -1 and 1 to themselves, where its slope is still 0.75.
    latent : int
        Channels of the code, on a grid of h / 8 by w / 8.
    noise_size : int
        Dimension of the noise z that the decoder reads beside the code; 0 for none. A linear layer
        maps z to as many channels as the code has.

    Attributes
    ----------
    bank : Tensor, shape (BANK, noise_size)
        Fixed draws of z; see `draw_bank`. Present only with noise.
    """

    bank: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        squash: bool,
        latent: int = 16,
        noise_size: int = 0,
    ) -> None:
        super().__init__(image_shape, "gaussian")
        self.squash, self.noise_size = squash, noise_size
        channels = image_shape[0]
        if latent != self.code_shape[0]:
            self.code_shape = (latent, *self.code_shape[1:])
            self.encoder = Encoder(channels, latent=latent)
        read = 2 * latent if noise_size else latent
        if read != self.decoder[0].in_channels:
            self.decoder = Decoder(channels, latent=read)
        if noise_size:
            self.lift = nn.Linear(noise_size, self.code_dimension)
            self.register_buffer("bank", torch.zeros(BANK, noise_size))

    def draw_bank(self, generator: torch.Generator, scale: float) -> None:
        """Fill the bank with draws from N(0, scale^2 I); does nothing without noise."""
        if self.noise_size:
            self.bank.normal_(0, scale, generator=generator)

    def autoencoder_parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over the weights of the map, excluding those of the potential."""
        lift = self.lift.parameters() if self.noise_size else ()
        return chain(super().autoencoder_parameters(), lift)

    def output(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Map codes to images, scaled to [-1, 1] but not clipped.

        Parameters
        ----------
        z : Tensor, shape (n, d)
        noise : Tensor, shape (n, noise_size), or None
            None means zero noise.

        Returns
        -------
        Tensor, shape (n, c, h, w)
        """
        if self.noise_size:
            if noise is None:
                noise = z.new_zeros(len(z), self.noise_size)
            grids = (z.unflatten(1, self.code_shape), self.lift(noise).view(-1, *self.code_shape))
            read = torch.cat(grids, 1).contiguous(memory_format=torch.channels_last)
            o = self.decoder(read)
        else:
            o = super().output(z)
        return 1.7159 * torch.tanh(2 * o / 3) if self.squash else o
