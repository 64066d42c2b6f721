"""The plain autoencoder: the baseline for all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otbench.interface import FitContext, ImageDataset, MethodCard, PaperSettings
from otbench_methods.autoencoders.base import ACAI_RELEASE, ACAI_STEPS, MatchedAutoencoder


@dataclass
class AE(MatchedAutoencoder):
    """Autoencoder trained on reconstruction alone."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Plain autoencoder",
        source="Baseline of Berthelot et al. 2018, arXiv 1807.07543 (release: baseline.py)",
        equations=("L = mean over the batch of BCE(D(E(x)), x), summed over pixels",),
        deviations=(
            "binary cross-entropy on [0, 1] instead of the squared error on [-1, 1] of ACAI's "
            "baseline, so that all methods of the matched track share one reconstruction loss",
            "He initialisation and a one-cycle learning rate instead of a constant rate",
        ),
        paper=PaperSettings(ACAI_RELEASE, ACAI_STEPS, batch_size=64),
    )

    def train_network(self, data: ImageDataset, ctx: FitContext) -> None:
        """Minimise the reconstruction loss."""
        network = self.network_
        optimiser = self.optimiser(network.parameters(), ctx)
        for step, x in zip(ctx.steps(), ctx.stream(data.train.images), strict=False):
            loss = network.reconstruction_loss(network.output(network.encode(x)), x)
            optimiser.step(loss)
            ctx.progress(step, reconstruction=loss)
