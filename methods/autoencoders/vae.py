"""The variational autoencoder on the matched backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from otbench.interface import (
    FitContext,
    ImageDataset,
    MethodCard,
    PaperSettings,
    Search,
    parameter,
)
from otbench.nn.backbone import Backbone
from otbench_methods.autoencoders.base import ACAI_RELEASE, ACAI_STEPS, MatchedAutoencoder

LOG_VARIANCE_BOUND = 12.0
"""Bound of the log-variances, which tanh limits to (-12, 12). Standard deviations lie between
0.0025 and 400, so neither the exponential nor its gradient overflows, and early training is not
restricted."""


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, diag exp(log_variance)) from N(0, I), in nats.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (n, d)

    Returns
    -------
    Tensor, shape (n,)
        Summed over the d dimensions (Kingma & Welling 2014, appendix B).
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)


class VariationalBackbone(Backbone):
    """The backbone with two 1x1 convolutions on the code: mean and log-variance."""

    def __init__(self, image_shape: tuple[int, int, int], likelihood: str = "bernoulli") -> None:
        super().__init__(image_shape, likelihood)
        channels = self.code_shape[0]
        self.mean_head = nn.Conv2d(channels, channels, 1)
        self.log_variance_head = nn.Conv2d(channels, channels, 1)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (n, c, h, w) to the mean and log-variance of q(z | x), each (n, d)."""
        features = super().encode(x).unflatten(1, self.code_shape)
        raw = self.log_variance_head(features).flatten(1)
        bounded = LOG_VARIANCE_BOUND * torch.tanh(raw / LOG_VARIANCE_BOUND)
        return self.mean_head(features).flatten(1), bounded

    def encode(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to the posterior's mean, (n, d)."""
        return self.posterior(x)[0]

    def negative_log_likelihood(self, output: Tensor, x: Tensor) -> Tensor:
        """Return -log p(x | z) in nats per image, averaged over the batch, without constants.

        ``gaussian`` is a normal distribution of unit variance on [-1, 1]: half the summed squared
        error.
        """
        loss = self.reconstruction_loss(output, x)
        return loss * (x[0].numel() / 2) if self.likelihood == "gaussian" else loss


@dataclass
class VAE(MatchedAutoencoder):
    """Variational autoencoder; scores use the posterior mean as the code."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Variational autoencoder",
        source="Kingma & Welling 2014, arXiv 1312.6114; settings of the baseline in Berthelot et "
        "al. 2018, arXiv 1807.07543 (release: vae.py)",
        equations=(
            "L = mean over the batch of -log p(x | z) + beta KL(q(z | x) || N(0, I)), z = mu + "
            "sigma eps, one eps per image (eq. 7 and 10 there)",
            "-log p(x | z) = BCE(D(z), x) summed over pixels (appendix C.1)",
            "KL = 1/2 sum over dimensions of mu^2 + sigma^2 - 1 - log sigma^2 (appendix B)",
        ),
        deviations=(
            "mean and log-variance come from 1x1 convolutions on the code (544 weights); the ACAI "
            "release has dense layers of 256 x 256 (131,584 weights), which would make the "
            "network larger than the others",
            "all scores use the posterior mean; the ACAI release clusters and interpolates random "
            "samples and classifies the features before the heads",
            "the log-variance v is bounded by 12 tanh(v / 12)",
            "He initialisation and a one-cycle learning rate instead of a constant rate",
        ),
        paper=PaperSettings(
            {**ACAI_RELEASE, "likelihood": "bernoulli", "beta": 1.0}, ACAI_STEPS, batch_size=64
        ),
    )

    beta: float = parameter(
        1.0,
        "weight of the KL term, >= 0; 1 is the evidence lower bound",
        "Kingma & Welling 2014",
        low=0,
        search=Search(0.01, 2.0, log=True),
    )

    def bare_network(self, image_shape: tuple[int, int, int]) -> VariationalBackbone:
        """Build the network and its two heads without initialising them."""
        return VariationalBackbone(image_shape, self.likelihood)

    def train_network(self, data: ImageDataset, ctx: FitContext) -> None:
        """Minimise the negative evidence lower bound."""
        network = self.network_
        optimiser = self.optimiser(network.parameters(), ctx)
        noise = ctx.generator("noise", ctx.device)
        for step, x in zip(ctx.steps(), ctx.stream(data.train.images), strict=False):
            mean, log_variance = network.posterior(x)
            eps = torch.randn(mean.shape, generator=noise, device=ctx.device)
            output = network.output(mean + (log_variance / 2).exp() * eps)
            likelihood = network.negative_log_likelihood(output, x)
            kl = kl_to_standard_normal(mean, log_variance).mean()
            optimiser.step(likelihood + self.beta * kl)
            ctx.progress(step, reconstruction=likelihood, kl=kl)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Decode n codes drawn from the prior N(0, I) to images (n, c, h, w) in [0, 1]."""
        device = next(self.network_.parameters()).device
        shape = (n, self.network_.code_dimension)
        z = torch.randn(shape, generator=generator, device=generator.device)
        return self.decode(z.to(device))
