"""NOT-AE: an autoencoder trained as a neural optimal transport map of images to themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from otbench.interface import (
    Diverged,
    FitContext,
    ImageDataset,
    MethodCard,
    PaperSettings,
    Search,
    parameter,
)
from otbench.nn.perceptual import SMALLEST
from otbench.nn.training import Optimiser
from otbench.ot.neural.rules import annealed_gamma, blow_up
from otbench_methods.autoencoders.not_ae_costs import COSTS, QUADRATIC, Cost, mean_variance
from otbench_methods.autoencoders.not_ae_decoding import RandomAutoencoder
from otbench_methods.autoencoders.not_ae_network import TransportBackbone

SWEEP = (
    "MNIST, 500 steps with batch size 64, seed 0, validation split; (K_T, rate): MSE, Laplacian "
    "energy relative to the data's: (5, 3e-4): 0.0079, 0.78; (5, 1e-3): 0.0077, 0.78; (5, 1e-4): "
    "0.0079, 0.74; (10, 1e-4): 0.0074, 0.63; frozen: 0.0098, 0.46; ae: 0.0067, 0.60. The default "
    "gives the sharpest images with a margin to the higher rate; the release has (10, 1e-4)"
)
"""Origin of K_T and of the potential's learning rate."""


class MapLoss(NamedTuple):
    """L_T, its transport cost, and Var(T(x, .)) / d, which is None for a deterministic map.

    All are means over the batch. The variance is that of pixels on [-1, 1] and carries no gradient.
    """

    total: Tensor
    cost: Tensor
    variance: Tensor | None


@dataclass
class NOTAE(RandomAutoencoder):
    """Neural optimal transport autoencoder, with a strong or a weak cost."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Neural optimal transport autoencoder",
        source="Lagutin 2022, Neural optimal transport auto-encoders; algorithm of Korotin, "
        "Selikhanovych & Burnaev 2022, Neural optimal transport, arXiv 2201.12220 (algorithm 1)",
        equations=(
            "T = D o E maps the distribution of the images to itself through the bottleneck",
            "L_T = mean of c(x, T(x)) - f(T(x)), minimised over T",
            "L_f = mean of f(T(x)) - mean of f(x'), minimised over f; x' an independent batch",
            "c = |x - y|^2 / d or |x - y|_1 / d on [-1, 1], d = c h w, or |phi(x) - phi(y)|^2 / m "
            "between m features; f has no constraint",
            "gamma > 0: T(x, z) = D(E(x), z), z ~ N(0, s^2 I), and c is the weak cost "
            "(|x - m|^2 + (1 - gamma) Var) / d, m and Var the mean and variance of T(x, z) over z, "
            "estimated without bias from K draws",
        ),
        deviations=(
            "the potential is trained; at the release's last commit its backward call is guarded "
            "by a condition that is never true (freeze_potential=true reproduces that)",
            "T is the matched backbone, without batch normalisation and with a linear code of "
            "16x4x4 (latent=4 gives the 64 values of the slides); the release has a U-Net without "
            "skip connections and a ReLU on the code",
            "cost=perceptual uses features of AlexNet (an asset), computed on images normalised "
            "as in AlexNet's training; the slides use VGG11's features after the second "
            "convolution, computed on images in [-1, 1]",
            "the release has only strong costs; here z enters the decoder as extra channels "
            "beside the code",
            "the decoder's output is bounded by 1.7159 tanh(2 o / 3), and clipped to [-1, 1] only "
            "when images are returned; the release's output is linear (squash=false). With a tanh "
            "or sigmoid whose asymptotes are black and white, training on MNIST stayed at a "
            "constant image",
            "f is ACAI's encoder with an averaged output (0.17 million weights for gray images); "
            "the release has a ResNet with 23 million weights",
            "He initialisation and one-cycle learning rates; the release has constant rates",
            "a step of the budget is an update of T, so that T sees as many images as other "
            "methods",
        ),
        paper=PaperSettings(
            {
                "squash": False,
                "lr": 1e-4,
                "schedule": "constant",
                "potential_lr": 1e-4,
                "inner_steps": 10,
                "cost": "l2",
                "latent": 4,
            },
            steps=50_000,
            batch_size=128,
        ),
        relative_cost=1.7,
    )

    cost: str = parameter(
        "l2",
        "l2 or l1 (means over pixels and channels), or perceptual (l2 between shallow features of "
        "AlexNet; asset lpips-alex)",
        "Lagutin 2022, with features of VGG11",
        choices=COSTS,
    )
    inner_steps: int = parameter(
        5,
        "K_T: updates of T for each update of the potential, >= 1",
        SWEEP,
        low=1,
        search=Search(choices=(1, 2, 5, 10)),
    )
    potential_lr: float = parameter(
        3e-4,
        "Adam's learning rate for the potential, with the schedule of T's rate",
        SWEEP,
        above=0,
        search=Search(3e-5, 3e-3, log=True),
    )
    squash: bool = parameter(
        True, "bound the decoder's output; false: linear", "LeCun et al. 1998b; the release: false"
    )
    freeze_potential: bool = parameter(
        False, "ablation: keep the potential at its random start", "the release's last commit"
    )
    potential: bool = parameter(
        True,
        "train with a potential; false sets f = 0, a plain autoencoder with the same cost (the "
        "release's baseline)",
        "Lagutin 2022",
    )
    latent: int = parameter(
        16,
        "channels of the code, on a grid of h/8 x w/8; 4 gives 64 values at 32x32",
        "ACAI",
        low=1,
    )
    clip: float = parameter(
        10.0,
        "largest norm of T's and of the potential's gradient; 0: no clipping",
        "release",
        low=0,
    )
    warmup: float = parameter(
        0.25,
        "fraction of the potential's updates over which gamma rises from 0, in [0, 1]",
        "Korotin et al. 2022: 25,000 of 100,000",
        low=0,
        high=1,
    )

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        yield from super().conflicts()
        if self.freeze_potential and not self.potential:
            yield "freeze_potential=true needs a potential, but potential=false removes it"
        if self.gamma > 0 and self.cost not in QUADRATIC:
            yield f"the weak cost is quadratic: gamma > 0 needs cost={' or '.join(QUADRATIC)}"
        if self.gamma > 1 and not self.squash:
            yield (
                "with gamma above 1 the cost is unbounded below: gamma must be at most 1, or "
                f"squash=true must bound the map; got {self.gamma}"
            )

    def skip(self, data: ImageDataset) -> str | None:
        """Return a reason if the backbone, or AlexNet where it is used, cannot read the images."""
        channels, *sides = data.image_shape
        if self.cost == "perceptual" and (channels not in (1, 3) or min(sides) < SMALLEST):
            size = f"{channels}x{sides[0]}x{sides[1]}"
            return f"AlexNet needs gray or RGB images with sides of at least {SMALLEST}, got {size}"
        return super().skip(data)

    def bare_network(self, image_shape: tuple[int, int, int]) -> TransportBackbone:
        """Build the network and its potential without initialising them."""
        noise_size = self.noise_size if self.stochastic else 0
        return TransportBackbone(image_shape, self.squash, self.latent, noise_size)

    def transport(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Map images to T(x, z), scaled to [-1, 1] but not clipped.

        Parameters
        ----------
        x : Tensor, shape (n, c, h, w)
            In [0, 1].
        noise : Tensor, shape (n, k, noise_size), or None
            k draws of z for each image; None without noise.

        Returns
        -------
        Tensor, shape (n, c, h, w), or (n, k, c, h, w) with noise
        """
        z = self.network_.encode(x)
        if noise is None:
            return self.network_.output(z)
        n, k = noise.shape[:2]
        y = self.network_.output(z.repeat_interleave(k, 0), noise.flatten(0, 1))
        return y.unflatten(0, (n, k))

    def map_loss(self, x: Tensor, noise: Tensor | None = None, gamma: float = 0.0) -> MapLoss:
        """Return L_T for images x in [0, 1] and k draws of z for each, (n, k, noise_size)."""
        y = self.transport(x, noise)
        if noise is None:
            cost, variance = self._cost.strong(2 * x - 1, y).mean(), None
        else:
            cost = self._cost.weak(2 * x - 1, y, gamma).mean()
            variance = mean_variance(y.detach()).mean()
            y = y.flatten(0, 1)
        if not self.potential:
            return MapLoss(cost, cost, variance)
        return MapLoss(cost - self.network_.score(y).mean(), cost, variance)

    def potential_loss(self, x: Tensor, independent: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return L_f for two independent batches of images in [0, 1], with T held fixed.

        With noise, ``noise`` has shape (n, 1, noise_size): one z per image.
        """
        with torch.no_grad():
            y = self.transport(x, noise)
            y = y if noise is None else y.flatten(0, 1)
        both = torch.cat([y, 2 * independent - 1])
        score_mapped, score_real = self.network_.score(both).chunk(2)
        return score_mapped.mean() - score_real.mean()

    def gamma_at(self, outer: int, total: int) -> float:
        """Return gamma, which rises linearly, after ``outer`` of ``total`` potential updates."""
        return annealed_gamma(self.gamma, outer, self.warmup * total)

    def potential_optimiser(self, ctx: FitContext) -> Optimiser:
        """Return the potential's optimiser; its schedule spans the potential's updates."""
        steps = math.ceil(ctx.budget.steps / self.inner_steps)
        return Optimiser(
            self.network_.scorer.parameters(),
            replace(ctx.budget, steps=steps),
            self.potential_lr,
            self.schedule,
            clip=self.clip or None,
        )

    def potential_step(
        self,
        optimiser: Optimiser,
        source: Iterator[Tensor],
        target: Iterator[Tensor],
        draws: torch.Generator | None = None,
    ) -> Tensor:
        """Update the potential once, on fresh batches of both distributions, and return L_f.

        Raises
        ------
        Diverged
            If L_f has diverged (see `otbench.ot.neural.rules.blow_up`).
        """
        scorer = self.network_.scorer.requires_grad_(True)
        x = next(source)
        noise = None if draws is None else self.draw_noise(len(x), 1, draws)
        loss = self.potential_loss(x, next(target), noise)
        optimiser.step(loss)
        scorer.requires_grad_(False)
        if reason := blow_up(float(loss.detach())):
            raise Diverged(reason)
        return loss

    def train_network(self, data: ImageDataset, ctx: FitContext) -> None:
        """Alternate ``inner_steps`` updates of T with one of the potential."""
        network = self.network_
        self._cost = Cost(self.cost, ctx.device)
        network.draw_bank(ctx.generator("decode-noise", ctx.device), self.noise_scale)
        optimiser = Optimiser(
            network.autoencoder_parameters(),
            ctx.budget,
            self.lr,
            self.schedule,
            self.clip or None,
        )
        potential_optimiser = self.potential_optimiser(ctx)
        source = ctx.stream(data.train.images)
        target = ctx.stream(data.train.images, axis="potential")
        draws = ctx.generator("noise", ctx.device)
        learns = self.potential and not self.freeze_potential
        outer_steps = math.ceil(ctx.budget.steps / self.inner_steps)
        network.scorer.requires_grad_(False)
        for step in ctx.steps():
            x = next(source)
            gamma = self.gamma_at(step // self.inner_steps, outer_steps)
            loss, cost, variance = self.map_loss(
                x, self.draw_noise(len(x), self.noise_count, draws), gamma
            )
            optimiser.step(loss)
            losses = {"map": loss, "cost": cost}
            if variance is not None:
                losses["variance"] = variance
            if learns and (step + 1) % self.inner_steps == 0:
                losses["potential"] = self.potential_step(
                    potential_optimiser, source, target, draws
                )
            ctx.progress(step, **losses)
