"""ACAI: an autoencoder whose interpolations a critic cannot tell from reconstructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import (
    FitContext,
    ImageDataset,
    MethodCard,
    PaperSettings,
    Search,
    parameter,
)
from otbench.nn.scorer import ScoredBackbone
from otbench.nn.training import PEAK_LR
from otbench_methods.autoencoders.base import (
    ACAI_RELEASE,
    ACAI_STEPS,
    LR_SEARCH,
    MatchedAutoencoder,
)


def mixing_coefficients(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Draw alpha for each image, uniform on [0, 0.5], shape (n,)."""
    return torch.rand(n, generator=generator, device=device) / 2


class SharedPass:
    """Both losses of one ACAI step, computed from one decoding and one pass of the critic.

    The gradients equal those of two separate losses: the autoencoder's with respect to the
    autoencoder's weights, and the critic's with respect to the critic's weights. `critic_loss` must
    be propagated first.

    Parameters
    ----------
    network : ScoredBackbone
    x : Tensor, shape (n, c, h, w)
        Images in [0, 1].
    alpha : Tensor, shape (n,)
        Weight of each image in the mixture with its partner (from the reversed batch).
    weight : float
        Weight of the critic's term relative to the reconstruction loss in the autoencoder's loss.
    gamma : float
        Weight of the image in its blend with the reconstruction.

    Attributes
    ----------
    reconstruction, critic_loss : Tensor
        Scalars.
    """

    def __init__(
        self, network: ScoredBackbone, x: Tensor, alpha: Tensor, weight: float, gamma: float
    ) -> None:
        z = network.encode(x)
        share = alpha[:, None]
        output = network.output(torch.cat([z, share * z + (1 - share) * z.flip(0)]))
        plain, mixed = output.chunk(2)
        self.reconstruction = network.reconstruction_loss(plain, x)
        self._mixed = network.signed(mixed)
        self._leaf = self._mixed.detach().requires_grad_()
        blend = gamma * (2 * x - 1) + (1 - gamma) * network.signed(plain.detach())
        score_mixed, score_blend = network.score(torch.cat([self._leaf, blend])).chunk(2)
        error = score_mixed - alpha
        # Keeps the quotient below defined; the change is below the rounding error of the mean.
        error = torch.where(error.detach().abs() < 1e-12, error + 1e-12, error)
        self.critic_loss = (error**2).mean() + (score_blend**2).mean()
        self._ratio = (weight * score_mixed / error).detach().view(-1, 1, 1, 1)

    def autoencoder_loss(self) -> Tensor:
        """Return a number whose gradient is that of reconstruction + weight * mean d(x_mix)^2.

        An image's score depends on that image alone. The backward pass of the critic's loss
        therefore leaves 2 (d - alpha) / n times the gradient of d at each mixed image. Scaled by
        d/(d - alpha), it is the gradient of the autoencoder's term, so a second pass through the
        critic is not needed.
        """
        if self._leaf.grad is None:
            raise RuntimeError("propagate critic_loss before asking for autoencoder_loss")
        return self.reconstruction + (self._mixed * (self._ratio * self._leaf.grad)).sum()


@dataclass
class ACAI(MatchedAutoencoder):
    """Adversarially constrained autoencoder interpolation."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Adversarially constrained autoencoder interpolation",
        source="Berthelot, Raffel, Roy & Goodfellow 2018, arXiv 1807.07543 (release: acai.py)",
        equations=(
            "x_mix = D(alpha z + (1 - alpha) z'), z' the batch reversed, alpha ~ U[0, 0.5]",
            "critic: mean (d(x_mix) - alpha)^2 + mean d(gamma x + (1 - gamma) x_hat)^2 (eq. 1)",
            "autoencoder: mean squared error on [-1, 1] + lambda mean d(x_mix)^2 (eq. 2)",
        ),
        deviations=(
            "with likelihood=bernoulli (the default) the cross-entropy per pixel, in nats, "
            "replaces the squared error; since this loss is a sum over the c h w values of an "
            "image, lambda's term is multiplied by c h w",
            "He initialisation and a one-cycle learning rate for both networks instead of a "
            "constant rate; its peak is half of the track's, at which the training diverges",
        ),
        paper=PaperSettings(ACAI_RELEASE, ACAI_STEPS, batch_size=64),
        relative_cost=2.7,
    )

    lr: float = parameter(
        PEAK_LR / 2,
        "Adam's rate for both networks: the peak of the cycle, or the constant",
        "MNIST, 500 steps: at 0.004, the track's, the loss of each of seeds 0 to 3 blows up, at "
        "0.002 that of none of seeds 0 to 2",
        above=0,
        search=LR_SEARCH,
    )
    lam: float = parameter(
        0.5,
        "lambda: weight of the critic's term relative to the mean reconstruction loss per pixel",
        "paper; checked with the cross-entropy on MNIST (500 steps, seed 0, validation split): "
        "MSE 0.0079 (ae: 0.0067), Laplacian energy of midpoints 0.76 of the data's (ae: 0.41), "
        "critic's loss 0.041 (best constant prediction: 0.052)",
        low=0,
        search=Search(0.05, 5.0, log=True),
    )
    gamma: float = parameter(
        0.2,
        "weight of the image in its blend with the reconstruction, in [0, 1]",
        "paper",
        low=0,
        high=1,
    )

    def bare_network(self, image_shape: tuple[int, int, int]) -> ScoredBackbone:
        """Build the network and its critic without initialising them."""
        return ScoredBackbone(image_shape, self.likelihood)

    def train_network(self, data: ImageDataset, ctx: FitContext) -> None:
        """Update the critic and the autoencoder together, each by the gradient of its own loss."""
        network = self.network_
        weight = self.lam
        if self.likelihood == "bernoulli":
            weight *= data.train.images[0].numel()
        optimiser = self.optimiser(network.autoencoder_parameters(), ctx)
        critic_optimiser = self.optimiser(network.scorer.parameters(), ctx)
        draws = ctx.generator("alpha", ctx.device)
        for step, x in zip(ctx.steps(), ctx.stream(data.train.images), strict=False):
            alpha = mixing_coefficients(len(x), draws, ctx.device)
            shared = SharedPass(network, x, alpha, weight, self.gamma)
            critic_optimiser.step(shared.critic_loss)
            optimiser.step(shared.autoencoder_loss())
            ctx.progress(step, reconstruction=shared.reconstruction, critic=shared.critic_loss)
