"""Neural optimal transport between image collections: a U-Net against a residual potential."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from otbench.assets import store
from otbench.interface import (
    Budget,
    Diverged,
    FitContext,
    ImagePair,
    MethodCard,
    PaperSettings,
    parameter,
)
from otbench.nn.backbone import initialise
from otbench.nn.perceptual import ASSET, SMALLEST, load_taps
from otbench.nn.training import Optimiser
from otbench.nn.translation import ResidualPotential, UNet
from otbench.ot.neural.costs import COSTS, conditional_variance
from otbench.ot.neural.rules import COLLAPSED, annealed_gamma, blow_up, spread
from otbench_methods.neural_maps.neural_ot import NeuralOT
from otbench_methods.neural_maps.not_unet_networks import Networks

CHECK_EVERY = 10
"""Number of steps between checkpoints."""

PAPER = "Korotin et al. 2022, images notebooks of the release"
SWEEP = "results/sweeps/not-unet.md"

Draw = Callable[[int, torch.Generator], Tensor]
"""Draws n flat images, (n, d), in [0, 1]."""


@dataclass
class NOTUNet(NeuralOT):
    """Neural optimal transport between images, with strong and weak costs."""

    cost: str = parameter(
        "l2",
        "transport cost: l2, l1 or weak (means over pixels and channels on [-1, 1]), kernel "
        "(distance kernel) or perceptual (squared difference of AlexNet's features; asset "
        "lpips-alex)",
        PAPER,
        choices=(*COSTS, "perceptual"),
    )
    gamma: float = parameter(
        0.66,
        "weight of the conditional variance in the costs weak and kernel, as in `not`",
        PAPER,
        low=0,
    )
    noise_count: int = parameter(4, "draws of z for each x in an update of T, >= 1", PAPER, low=1)
    noise_channels: int = parameter(
        8, "noise channels added to the image channels, >= 1; 1 in the paper", low=1
    )
    noise_field: bool = parameter(
        False,
        "draw noise for every pixel, as in the paper; false: one value per noise channel, as in "
        "kernel NOT, whose noise has no spatial position",
        SWEEP,
    )
    inner_steps: int = parameter(2, "updates of T before each update of f, >= 1", SWEEP, low=1)
    annealing: float = parameter(
        0.25,
        "fraction of the training in which gamma rises linearly from 0, in [0, 1]",
        PAPER,
        low=0,
        high=1,
    )
    width: int = parameter(
        16, "channels of the U-Net at full resolution, >= 1; 48 in the paper", low=1
    )
    scales: int = parameter(
        2, "times that the U-Net halves the resolution, >= 1; 4 in the paper", low=1
    )
    potential_width: int = parameter(
        32, "channels of the potential at full resolution; 64 in the paper", low=1
    )
    potential_widest: int = parameter(
        128, "largest number of channels of the potential; 512 in the paper", low=1
    )
    potential_blocks: int = parameter(
        1, "residual blocks of the potential at each resolution, >= 1; 2 in the paper", low=1
    )
    potential_patch: int = parameter(
        2,
        "side in pixels of the patches that the potential reads as one position, >= 1; 1 in the "
        "paper",
        SWEEP,
        low=1,
    )
    potential_scaled: bool = parameter(
        True,
        "divide the potential by the square root of the number of inputs; false in the paper",
        SWEEP,
    )
    residual: bool = parameter(
        True,
        "T(x) = x + network, initialised near the identity; false: the network alone, as in "
        "the paper",
        SWEEP,
    )
    squash: bool = parameter(
        False, "bound T by 1.7159 tanh; false: only clip returned images to [0, 1]"
    )
    batch: int = parameter(
        32, "images of each side in one update; 0: the budget's batch size", low=0
    )
    lr: float = parameter(1e-3, "Adam's learning rate for T, > 0", SWEEP, above=0)
    potential_lr: float = parameter(3e-4, "Adam's learning rate for f, > 0", SWEEP, above=0)
    beta1: float = parameter(
        0.5,
        "Adam's beta_1 for T and f, in [0, 1)",
        "0 works equally well in 800 steps at 16x16",
        low=0,
        below=1,
    )
    clip: float = parameter(10.0, "largest norm of each gradient; 0: no clipping", low=0)
    milestones: tuple[float, ...] = parameter(
        (0.25, 0.4, 0.55, 0.7, 0.85),
        "fractions of the training at which both learning rates are halved, in (0, 1)",
        SWEEP,
        above=0,
        below=1,
    )
    ema_decay: float = parameter(
        0.995,
        "decay per step of the running average of T's weights, which serves as the map; 0: the "
        "last weights",
        SWEEP,
        low=0,
        below=1,
    )

    runs_on: ClassVar[type] = ImagePair
    card: ClassVar[MethodCard] = MethodCard(
        title="Neural optimal transport between images, with a U-Net",
        source="Korotin, Selikhanovych & Burnaev 2022, Neural optimal transport, arXiv 2201.12220 "
        "(algorithm 1; release, notebooks of images); kernel cost: Korotin et al. 2023",
        equations=(
            "C = 2 / d times the strong or weak quadratic cost of `not` (1 / d for l1), d = c h w, "
            "images on [-1, 1]; perceptual: |phi(x) - phi(T(x))|^2 / m between m features",
            "L_T = mean of C(x, T(x, z_1..K)) - mean of f(T(x, z_k)), minimised over T",
            "L_f = mean of f(T(x, z)) - mean of f(y), minimised over f, which has no constraint",
            "a step of the budget consists of K_T = inner_steps updates of T with fresh x and z, "
            "followed by one update of f",
        ),
        deviations=(
            "the U-Net has group normalisation; the release has batch normalisation",
            "the default networks are small: T has 65 thousand weights, f has 154 thousand at "
            "16x16 and 449 thousand at 32x32; preset paper has the release's sizes, 9.7 million "
            "in T and 22.9 million in f at 64x64",
            "the defaults add a residual T, a scaled f that reads patches, noise without a "
            "spatial position, averaged weights, five milestones and clipped gradients",
            "f downsamples by averaging 2x2 pixels; the release averages overlapping 3x3 pixels",
            "no weight decay (the authors use 1e-10)",
            "a run ends as diverged if |L_f| exceeds 1e3",
        ),
        paper=PaperSettings(
            {
                "width": 48,
                "scales": 4,
                "potential_width": 64,
                "potential_widest": 512,
                "potential_blocks": 2,
                "potential_patch": 1,
                "potential_scaled": False,
                "inner_steps": 10,
                "lr": 1e-4,
                "potential_lr": 1e-4,
                "beta1": 0.9,
                "noise_scale": 0.1,
                "noise_channels": 1,
                "noise_field": True,
                "noise_count": 8,
                "batch": 64,
                "residual": False,
                "milestones": (),
                "clip": 0.0,
                "ema_decay": 0.0,
            },
            steps=100_001,
            batch_size=64,
        ),
        relative_cost=30.0,
    )

    @property
    def bounded(self) -> bool:
        """Whether the map's output is bounded."""
        return self.squash

    def skip(self, data: ImagePair) -> str | None:
        """Return a reason if the sides cannot be halved or AlexNet cannot read the images."""
        channels, *sides = data.image_shape
        size = "x".join(str(n) for n in data.image_shape)
        step = math.lcm(1 << self.scales, self.potential_patch)
        if min(sides) < 4 or any(side % step for side in sides):
            return (
                f"scales={self.scales} with potential_patch={self.potential_patch} needs sides "
                f"that are multiples of {step}, at least 4, got {size}"
            )
        if self.cost == "perceptual" and (channels not in (1, 3) or min(sides) < SMALLEST):
            return f"AlexNet needs gray or RGB images with sides of at least {SMALLEST}, got {size}"
        return None

    def noise_dimension(self) -> int:
        """Return the dimension of z; 0 without noise."""
        if not self.noisy:
            return 0
        _, height, width = self.image_shape_
        return self.noise_channels * (height * width if self.noise_field else 1)

    def _moved(self, network: UNet, x: Tensor, z: Tensor) -> Tensor:
        """Map flat images (n, d) on [-1, 1] and unit noise (n, noise) to flat images."""
        parts = [x.unflatten(1, self.image_shape_)]
        if self.noisy:
            sides = self.image_shape_[1:]
            maps = z.unflatten(1, (self.noise_channels, *(sides if self.noise_field else (1, 1))))
            parts.append((self.noise_scale * maps).expand(-1, -1, *sides))
        rows = torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)
        return network(rows).flatten(1)

    def carried(self, x: Tensor, z: Tensor) -> Tensor:
        """Map flat images (m, d) in [0, 1] and noise (m, noise) to flat images in [0, 1]."""
        with torch.no_grad():
            moved = self._moved(self.network_.average, 2 * x - 1, z.to(x))
        return ((moved + 1) / 2).clamp(0, 1)

    def score(self, y: Tensor) -> Tensor:
        """Return the potential of flat images (n, d) on [-1, 1], (n,)."""
        images = y.unflatten(1, self.image_shape_)
        return self.network_.potential(images.contiguous(memory_format=torch.channels_last))

    def cost_of(self, x: Tensor, y: Tensor, gamma: float) -> Tensor:
        """Return the mean cost of moving flat images x (n, d) to draws y (n, k, d)."""
        if self.cost == "perceptual":
            x, y = self._features(x), self._features(y.flatten(0, 1)).unflatten(0, y.shape[:2])
            return (x.unsqueeze(1) - y).square().mean()
        if self.cost == "kernel":
            return COSTS["kernel"](x, y, gamma).mean()
        share = (1 if self.cost == "l1" else 2) / x.shape[1]
        return share * COSTS[self.cost](x, y, gamma).mean()

    def _features(self, points: Tensor) -> Tensor:
        images = points.unflatten(1, self.image_shape_)
        return self._taps(images.contiguous(memory_format=torch.channels_last))

    def map_loss(self, x: Tensor, z: Tensor, gamma: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Return L_T and its parts for flat images x (n, d) on [-1, 1] and noise (n k, noise)."""
        k = self.draws
        rows = x.repeat_interleave(k, 0) if k > 1 else x
        moved = self._moved(self.network_.map, rows, z)
        draws = moved.unflatten(0, (len(x), k))
        cost = self.cost_of(x, draws, gamma)
        loss = cost - self.score(moved).mean()
        parts = {"map": loss, "cost": cost}
        if k > 1:
            parts["conditional_variance"] = conditional_variance(draws.detach()).mean() / x.shape[1]
        return loss, parts

    def potential_loss(self, moved: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_f, and L_f with the R1 term, for flat images (n, d) on [-1, 1]."""
        y = y.requires_grad_(self.r1 > 0)
        at_moved, at_real = self.score(torch.cat([moved, y])).chunk(2)
        loss = at_moved.mean() - at_real.mean()
        if not self.r1:
            return loss, loss
        (slope,) = torch.autograd.grad(at_real.sum(), y, create_graph=True)
        return loss, loss + 0.5 * self.r1 * slope.square().sum(1).mean()

    def fit(self, data: ImagePair, ctx: FitContext) -> None:
        """Alternate ``inner_steps`` updates of the map with one update of the potential.

        Raises
        ------
        Diverged
            If the potential's loss is not finite or beyond 1e3.
        """
        self.image_shape_ = data.image_shape
        self.status_ = "ok"
        self.losses_ = torch.zeros(0)
        self.build()
        initialise(self.network_.map, ctx.generator("init"))
        initialise(self.network_.potential, ctx.generator("potential-init"))
        self.network_.map.start_near_identity()
        self.network_.average.load_state_dict(self.network_.map.state_dict())
        self.network_.to(ctx.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.cost == "perceptual":
            self._taps = load_taps(store.require(ASSET), ctx.device)
        source = self._batches(data.source, ctx, "source")
        target = self._batches(data.target, ctx, "target")
        self._train(source, target, ctx)
        self.network_.requires_grad_(False)

    def _batches(self, draw: Draw, ctx: FitContext, axis: str) -> Iterator[Tensor]:
        size, generator = self.batch or ctx.budget.batch_size, ctx.generator(axis)
        while True:
            yield 2 * draw(size, generator).to(ctx.device, non_blocking=True) - 1

    def _optimiser(self, module: nn.Module, lr: float, updates: int) -> Optimiser:
        return Optimiser(
            module.parameters(),
            Budget(updates),
            lr,
            "constant",
            self.clip or None,
            (self.beta1, 0.999),
            self.milestones,
        )

    def _train(self, source: Iterator[Tensor], target: Iterator[Tensor], ctx: FitContext) -> None:
        network, steps = self.network_, ctx.budget.steps
        optimiser = self._optimiser(network.map, self.lr, steps * self.inner_steps)
        other = self._optimiser(network.potential, self.potential_lr, steps)
        noise = ctx.generator("noise", ctx.device)
        losses: list[Tensor] = []
        for step in ctx.steps():
            gamma = annealed_gamma(self.gamma, step, self.annealing * steps)
            network.potential.requires_grad_(False)
            for _ in range(self.inner_steps):
                x = next(source)
                loss, parts = self.map_loss(x, self._noise(len(x) * self.draws, noise), gamma)
                optimiser.step(loss)
            network.potential.requires_grad_(True)
            x, y = next(source), next(target)
            with torch.no_grad():
                moved = self._moved(network.map, x, self._noise(len(x), noise))
            plain, whole = self.potential_loss(moved, y)
            other.step(whole)
            network.update_ema(min(self.ema_decay, step / (step + 1)))
            losses.append(plain.detach())
            share = spread(_mean_distance(moved), _mean_distance(y.detach()))
            self.status_ = "collapsed" if share < COLLAPSED else "ok"
            if reason := blow_up(float(plain.detach())):
                raise Diverged(reason)
            ctx.progress(step, **parts, potential=plain, spread=share)
            if (step + 1) % CHECK_EVERY == 0:
                ctx.checkpoint(step + 1, self)
        self.losses_ = torch.stack(losses) if losses else self.losses_

    def potential_losses(self) -> Tensor:
        """Return L_f of every step, (steps,)."""
        return self.losses_

    def build(self) -> None:
        """Build the networks without initialising them."""
        noise = self.noise_channels if self.noisy else 0
        make_map = partial(
            UNet,
            self.image_shape_[0],
            noise,
            self.width,
            self.scales,
            self.residual,
            self.bounded,
        )
        potential = ResidualPotential(
            self.image_shape_,
            self.potential_width,
            self.potential_widest,
            self.potential_blocks,
            self.potential_patch,
            self.potential_scaled,
        )
        self.network_ = Networks(make_map, potential)

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned, in the channels-last layout of training."""
        super().restore(state)
        self.network_.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _mean_distance(points: Tensor) -> float:
    return float((points - points.roll(1, 0)).norm(dim=1).mean())
