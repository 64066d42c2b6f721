"""Base of the autoencoders on the matched backbone: network, optimiser, checkpoint.

`BackboneAutoencoder` holds all of it; `MatchedAutoencoder` adds the choice of the reconstruction
loss, for the methods that have one.
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
        "Adam's rate: the peak of the cycle, or the constant",
        "swept at 500 steps",
        above=0,
        search=LR_SEARCH,
    )
    schedule: str = parameter(
        "one-cycle",
        "one-cycle or constant",
        "swept at 500 steps",
        choices=("one-cycle", "constant"),
    )
    gain: float = parameter(
        2.0, "start variance times (1 + 0.2^2) fan-in", "He et al. 2015; 1 is ACAI's", above=0
    )

    def skip(self, data: ImageDataset) -> str | None:
        """Refuse images whose sides the backbone cannot halve three times."""
        _, height, width = data.image_shape
        if height % 8 or width % 8:
            return f"the backbone needs sides that are multiples of 8, got {height}x{width}"
        return None

    @abstractmethod
    def bare_network(self, image_shape: tuple[int, int, int]) -> Backbone:
        """Make the network, not yet started."""

    def build(self) -> None:
        """Make the network, not yet started."""
        self.network_ = self.bare_network(self.image_shape_)

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned, channels last as in training.

        Convolutions round differently in another layout.
        """
        super().restore(state)
        self.network_.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Start the network, run the training loop of the subclass, then freeze the network."""
        self.image_shape_ = data.image_shape
        self.build()
        self.place(self.network_, ctx, "init")
        self.train_network(data, ctx)
        self.network_.requires_grad_(False).eval()

    def place(self, module: nn.Module, ctx: FitContext, axis: str) -> None:
        """Start a module from the context's generator and move it to the device, channels last."""
        initialise(module, ctx.generator(axis), self.gain)
        module.to(ctx.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def optimiser(self, parameters: Iterable[nn.Parameter], ctx: FitContext) -> Optimiser:
        """Make the optimiser that the parameters ask for."""
        return Optimiser(parameters, ctx.budget, self.lr, self.schedule)

    @abstractmethod
    def train_network(self, data: ImageDataset, ctx: FitContext) -> None:
        """Train ``self.network_`` within the budget."""

    def checked(self, call: str, *stacks: Tensor) -> None:
        """Refuse images of another size, type or range than those of the training.

        Raises
        ------
        ValueError
            If so; ``call`` is named in the message.
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
        """Make the network, not yet started."""
        return Backbone(image_shape, self.likelihood)


ACAI_RELEASE = {"likelihood": "gaussian", "lr": 1e-4, "schedule": "constant", "gain": 1.0}
"""Settings of ACAI's release that hold for all its models (lib/train.py, lib/layers.py)."""

ACAI_STEPS = 262_144
"""2^24 images in batches of 64, ACAI's training length for every model and data set."""
