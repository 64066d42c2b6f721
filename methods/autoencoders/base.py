"""Base of the autoencoders on the matched backbone: network, optimiser, checkpoint.

`BackboneAutoencoder` implements all of them; `MatchedAutoencoder` adds a choice of reconstruction
loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otbench.interface import Autoencoder, FitContext, ImageDataset, Search, parameter
from otbench.interface.scoring import check_input
from otbench.nn.backbone import Backbone, initialise
from otbench.nn.training import PEAK_LR, Optimiser

LR_SEARCH = Search(5e-4, 1e-2, log=True)


@dataclass
class BackboneAutoencoder(Autoencoder):
    """An autoencoder on the matched backbone whose code is the encoder's output."""

    lr: float = parameter(
        PEAK_LR,
        "Adam's learning rate: the peak of the one-cycle schedule, or the constant rate",
        "swept at 500 steps",
        above=0,
        search=LR_SEARCH,
    )
    schedule: str = parameter(
        "one-cycle",
        "schedule of the learning rate: one-cycle or constant",
        "swept at 500 steps",
        choices=("one-cycle", "constant"),
    )
    gain: float = parameter(
        2.0,
        "variance of the initial weights times (1 + 0.2^2) fan-in",
        "He et al. 2015; 1 is ACAI's",
        above=0,
    )

    def skip(self, data: ImageDataset) -> str | None:
        """Return a reason if the backbone cannot halve the sides three times."""
        _, height, width = data.image_shape
        if height % 8 or width % 8:
            return f"the backbone needs sides that are multiples of 8, got {height}x{width}"
        return None

    @abstractmethod
    def bare_network(self, image_shape: tuple[int, int, int]) -> Backbone:
        """Build the network without initialising it."""

    def build(self) -> None:
        """Build the network without initialising it."""
        self.network_ = self.bare_network(self.image_shape_)

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned, in the channels-last layout of training.

        In another layout convolutions round differently.
        """
        super().restore(state)
        self.network_.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Initialise the network, run the subclass's training loop, then freeze the network."""
        self.image_shape_ = data.image_shape
        self.build()
        self.place(self.network_, ctx, "init")
        self.train_network(data, ctx)
        self.network_.requires_grad_(False).eval()

    def place(self, module: nn.Module, ctx: FitContext, axis: str) -> None:
        """Initialise a module by the context's generator; move it to the device, channels last."""
        initialise(module, ctx.generator(axis), self.gain)
        module.to(ctx.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def optimiser(self, parameters: Iterable[nn.Parameter], ctx: FitContext) -> Optimiser:
        """Return the optimiser that the method's parameters describe."""
        return Optimiser(parameters, ctx.budget, self.lr, self.schedule)

    @abstractmethod
    def train_network(self, data: ImageDataset, ctx: FitContext) -> None:
        """Train ``self.network_`` within the budget."""

    def checked(self, call: str, *stacks: Tensor) -> None:
        """Check that images have the shape, dtype and range of the training images.

        Raises
        ------
        ValueError
            If they do not; the message names ``call``.
        """
        for images in stacks:
            check_input(images, self.image_shape_, f"{type(self).__name__}.{call}")

    def encode(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to codes (n, d)."""
        self.checked("encode", x)
        return self.network_.encode(x)

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Decode the straight line between the two codes."""
        self.checked("interpolate", x0, x1)
        return super().interpolate(x0, x1, t)

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Decode the weighted mean of the codes."""
        self.checked("barycenter", x)
        return super().barycenter(x, weights)

    def decode(self, z: Tensor) -> Tensor:
        """Map codes (n, d) to images (n, c, h, w) in [0, 1]."""
        return self.network_.decode(z)


@dataclass
class MatchedAutoencoder(BackboneAutoencoder):
    """An autoencoder with a reconstruction loss on the matched backbone."""

    likelihood: str = parameter(
        "bernoulli",
        "bernoulli (summed cross-entropy) or gaussian (mean squared error on [-1, 1])",
        "Feng & Strohmer 2024, section 7.1; gaussian is ACAI's",
        choices=("bernoulli", "gaussian"),
    )

    def bare_network(self, image_shape: tuple[int, int, int]) -> Backbone:
        """Build the network without initialising it."""
        return Backbone(image_shape, self.likelihood)


ACAI_RELEASE = {"likelihood": "gaussian", "lr": 1e-4, "schedule": "constant", "gain": 1.0}
"""Settings of all models in ACAI's released code (lib/train.py, lib/layers.py)."""

ACAI_STEPS = 262_144
"""ACAI's training length for every model and data set: 2^24 images in batches of 64."""
