"""Feng & Strohmer's autoencoder: straight lines between codes are made cheap to transport along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from otbench.interface import (
    FitContext,
    ImageDataset,
    MethodCard,
    PaperSettings,
    Search,
    parameter,
)
from otbench.nn.backbone import Backbone
from otbench.ot.dynamic.path_energy import image_energy
from otbench_methods.autoencoders.base import MatchedAutoencoder

PIXELS = 32 * 32
"""Of the release's energy grid; its losses are means over pixels where ours are sums."""

SWEEP = (
    "sweep on MNIST's validation split, 500 steps, seed 0, (alpha, floor, beta): (3, .001, .01), "
    "(1, .001, .01), (3, .01, .01), (3, .1, .01), (1, .03, .01), (2, .03, .5), (1, .1, .1); taken: "
    "least path energy among those whose adjacent SSIM, data at the ends, varies less than the "
    "plain autoencoder's, ties within 1 % by reconstruction"
)

RELEASE = {
    "likelihood": "bernoulli",
    "lr": 1e-3,
    "schedule": "constant",
    "gain": 1.04 / 3,
    "stem": 3,
    "widening": 2,
    "pairs": 9,
    "intervals": 19,
    "alpha": 0.5,
    "beta": 1e-5 * PIXELS,
    "tau": 1.0,
    "warmup": 0.0,
    "floor": 1e-2,
    "grid": 32,
}


@dataclass
class PathEnergyAE(MatchedAutoencoder):
    """Autoencoder whose decoded straight lines cost little kinetic energy."""

    alpha: float = parameter(
        1.0,
        "weight of the path energy, nats an image per squared pixel; at least 0",
        SWEEP,
        low=0,
        search=Search(0.03, 10.0, log=True),
    )
    beta: float = parameter(
        0.01,
        "weight of the mass term, nats an image per unit of mass (a white pixel); at least 0",
        SWEEP + "; 0.01 is the release's notebook (1e-5 on losses averaged over 32x32 pixels)",
        low=0,
        search=Search(0.001, 0.1, log=True),
    )
    balanced: bool = parameter(
        False,
        "scale all frames to one mass and let none be created",
        "Feng & Strohmer 2024, section 7.3: MNIST is unbalanced",
    )
    tau: float = parameter(
        10.0,
        "price of creating mass, in squared pixels; unused when balanced",
        "unpublished",
        above=0,
        search=Search(1.0, 1000.0, log=True),
    )
    boundary: str = parameter(
        "noflux",
        "noflux, open or periodic",
        "Feng & Strohmer 2024, section 7.1, there Dirichlet",
        choices=("noflux", "open", "periodic"),
    )
    averaging: str = parameter(
        "mid",
        "density between two frames: mid (their mean) or left (the first)",
        "release",
        choices=("mid", "left"),
    )
    pairs: int = parameter(
        4, "pairs of a batch whose path is weighed; at least 1", "the paper's 9, for time", low=1
    )
    intervals: int = parameter(10, "steps T of a path; at least 1", "paper: 10 to 30", low=1)
    warmup: float = parameter(
        0.5,
        "part of the budget over which alpha grows from 0, in [0, 1]",
        "calibration",
        low=0,
        high=1,
    )
    floor: float = parameter(
        0.03,
        "density of the background, positive; a low one makes the decoder draw haze to carry mass",
        SWEEP + "; the paper has 1e-5, the release 1e-2",
        above=0,
        search=Search(0.001, 0.1, log=True),
    )
    grid: int = parameter(
        0,
        "side in pixels that larger frames are averaged down to before their energy is taken; 0 "
        "leaves them as they are",
        "the paper takes all energies at 32x32, section 7.1",
        low=0,
    )
    stem: int = parameter(
        1, "side of the first kernel: 1 or 3", "ACAI; 3 in the release", choices=(1, 3)
    )
    widening: int = parameter(
        1, "factor on the channels before the code", "ACAI; 2 in the release", low=1
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Path-energy autoencoder (dynamic optimal transport)",
        source=(
            "Feng & Strohmer 2024, Improving autoencoder image interpolation via dynamic optimal "
            "transport; release: xue1993/Dynamic-optimal-transport"
        ),
        equations=(
            "L = BCE(D(E(x)), x) + alpha * mean over pairs of T J / M + beta * mass term",
            "rho_t = D((1 - t/T) E(x_i) + (t/T) E(x_j)) for 0 < t < T; rho_0 = x_i, rho_T = x_j",
            "J = sum_t min |m|^2 / rho + tau s^2 / rho subject to rho_{t+1} - rho_t + div m = s "
            "(eqs. 3 and 4)",
            "M = mass of a frame, averaged over the T + 1 frames",
            "mass term = mean over pairs and frames of |mass(D_t) - (1 - t/T) mass(x_i) "
            "- (t/T) mass(x_j)|, D_t decoded at the ends too",
        ),
        deviations=(
            "J is normalised to T J / M (squared pixels), so that alpha does not depend on T, the "
            "number of pairs or the brightness; the release sums J over pairs and steps",
            "the cross-entropy and the mass are sums over pixels; the release averages the first",
            "the gradient of J is exact; Theorem 1 of the paper is wrong as printed",
            "no-flux systems are pinned; the release adds 1e-10 to the diagonal",
            "the source term uses the same time average as the faces; the release the first frame",
            "on a coarser grid frames are averages over its cells, which keeps their mass, and the "
            "energy stays in pixels of the image; the release interpolates between few pixels",
            "a floor is added to the images; the release clips them, which stops the gradient",
            "disjoint pairs of a shuffled batch; the release chains consecutive images",
            "alpha grows over the first part of the budget: from the first step it can end in a "
            "constant image",
            "mass follows the straight line from x_i to x_j, as in the release; the paper prints "
            "its weights reversed",
            "track matched: ACAI's stem and width, He start, one-cycle rate",
            "paper: PyTorch's default start is kept in variance, with a normal law and no biases; "
            "the batch is the release's 256 and its length seven epochs, as its file names hint; "
            "alpha is its 1e-5 (hinted by a file name) times pixels, pairs and M / T; images have "
            "32x32 pixels from the start, gray; the paper names no number of these",
        ),
        paper=PaperSettings(RELEASE, steps=1645, batch_size=256),
        relative_cost=1.3,
    )

    def skip(self, data: ImageDataset) -> str | None:
        """Refuse walls or sides that do not fit the energy's grid."""
        _, height, width = data.image_shape
        if self._shrinks(height, width) and (height % self.grid or height != width):
            return f"images of {height}x{width} cannot be averaged down to {self.grid}x{self.grid}"
        if self._shrinks(height, width) and data.obstacles is not None:
            return f"walls of one pixel vanish on a grid of side {self.grid}; choose grid=0"
        return super().skip(data)

    def _shrinks(self, height: int, width: int) -> bool:
        return 0 < self.grid < max(height, width)

    def bare_network(self, image_shape: tuple[int, int, int]) -> Backbone:
        """Make the network, not yet started."""
        return Backbone(image_shape, self.likelihood, self.stem, self.widening)

    def train_network(self, data: ImageDataset, ctx: FitContext) -> None:
        """Minimise reconstruction, path energy and mass term together."""
        network = self.network_
        optimiser = self.optimiser(network.parameters(), ctx)
        ramp = max(self.warmup * ctx.budget.steps, 1e-9)
        pairs = min(self.pairs, max(ctx.budget.batch_size // 2, 1))
        time = torch.linspace(0, 1, self.intervals + 1, device=ctx.device)
        for step, x in zip(ctx.steps(), ctx.stream(data.train.images), strict=False):
            codes = network.encode(x)
            # the batch is shuffled, so its first images are a random choice of disjoint pairs
            start, end = codes[:pairs], codes[-pairs:]
            inner = torch.lerp(start.unsqueeze(1), end.unsqueeze(1), time[1:-1].view(1, -1, 1))
            output = network.output(torch.cat([codes, inner.flatten(0, 1)]))
            reconstruction = network.reconstruction_loss(output[: len(x)], x)
            decoded = network.to_image(output)
            between = decoded[len(x) :].unflatten(0, (pairs, -1)) if inner.numel() else inner
            ends = x[:pairs].unsqueeze(1), x[-pairs:].unsqueeze(1)
            redrawn = decoded[:pairs].unsqueeze(1), decoded[len(x) - pairs : len(x)].unsqueeze(1)
            energy = self._energy(_joined(ends, between), data.obstacles)
            mass = _mass_term(_joined(redrawn, between), *ends, time)
            alpha = self.alpha * min(step / ramp, 1.0)
            optimiser.step(reconstruction + alpha * energy + self.beta * mass)
            ctx.progress(step, reconstruction=reconstruction, energy=energy, mass=mass)

    def _energy(self, paths: Tensor, obstacles: Tensor | None) -> Tensor:
        height, width = paths.shape[-2:]
        scale = height // self.grid if self._shrinks(height, width) else 1
        if scale > 1:
            paths = avg_pool2d(paths.flatten(0, 1), scale).unflatten(0, paths.shape[:2])
        energy = image_energy(
            paths,
            floor=self.floor,
            tau=None if self.balanced else self.tau / scale**2,
            boundary=self.boundary,
            averaging=self.averaging,
            obstacles=obstacles,
        )
        return scale**2 * energy.mean().float()


def _joined(ends: tuple[Tensor, Tensor], between: Tensor) -> Tensor:
    """Put the ends (p, 1, c, h, w) around the frames between them, (p, T - 1, c, h, w)."""
    if between.numel() == 0:
        return torch.cat(ends, 1)
    return torch.cat([ends[0], between, ends[1]], 1)


def _mass_term(paths: Tensor, start: Tensor, end: Tensor, time: Tensor) -> Tensor:
    """Mean distance of the frames' masses from the straight line between the ends' masses."""
    mass, first, last = (x.sum((-3, -2, -1)) for x in (paths, start, end))
    return (mass - torch.lerp(first, last, time)).abs().mean()
