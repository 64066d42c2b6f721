"""The backbone with a second network that gives each image a number: a critic or a potential."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from otbench.nn.backbone import Backbone, Encoder


class ScoredBackbone(Backbone):
    """Backbone plus a scorer: an encoder of its own whose final map is averaged to one number.

    The scorer is ACAI's critic (Berthelot et al. 2018, section 2: the mean over height, width and
    channels of the last, linear, convolution; no squashing). It reads images on [-1, 1].

    Parameters
    ----------
    image_shape, likelihood
        As for `Backbone`.
    """

    def __init__(self, image_shape: tuple[int, int, int], likelihood: str = "bernoulli") -> None:
        super().__init__(image_shape, likelihood)
        self.scorer = Encoder(image_shape[0])

    def score(self, y: Tensor) -> Tensor:
        """Map images (n, c, h, w) on [-1, 1] to one real number each, shape (n,)."""
        return self.scorer(y.contiguous(memory_format=torch.channels_last)).mean(dim=(1, 2, 3))

    def signed(self, output: Tensor) -> Tensor:
        """Map the decoder's output to images on [-1, 1] (``gaussian``: as it is, unbounded)."""
        if self.likelihood == "gaussian":
            return output
        return 2 * torch.sigmoid(output) - 1

    def autoencoder_parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over the weights of encoder and decoder, without the scorer's."""
        return chain(self.encoder.parameters(), self.decoder.parameters())
