"""Base of neural optimal transport: the parameters that are independent of the networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otbench.interface import StochasticMap, parameter
from otbench.ot.neural.costs import COSTS, WEAK, check_cost

UNGUIDED_SEED = 20_220_112
"""Seed of the noise if no generator is given."""

PAPER = "Korotin et al. 2022, toy notebooks of the release"


@dataclass
class NeuralOT(StochasticMap):
    """A map T(x, z) trained against an unconstrained potential f."""

    cost: str = parameter(
        "weak",
        "transport cost: weak (quadratic, with gamma), l2 (half the squared distance), l1 (sum of "
        "the absolute differences) or kernel (distance kernel, with gamma)",
        PAPER,
        choices=tuple(COSTS),
    )
    gamma: float = parameter(
        1.0,
        "weight of the conditional variance in the costs weak and kernel, >= 0; values above 1 "
        "need a bounded map",
        PAPER,
        low=0,
    )
    noise_scale: float = parameter(
        1.0,
        "standard deviation of z, > 0",
        "Korotin et al. 2023 (kernel NOT); the conditional variance is learned faster than at 0.1",
        above=0,
    )
    noise_count: int = parameter(4, "draws of z for each x in an update of T, >= 1", PAPER, low=1)
    inner_steps: int = parameter(10, "updates of T before each update of f, >= 1", PAPER, low=1)
    annealing: float = parameter(
        0.0,
        "fraction of the training in which gamma rises linearly from 0, in [0, 1]",
        PAPER,
        low=0,
        high=1,
    )
    batch: int = parameter(
        64, "points of each side in one update; 0: the budget's batch size", PAPER, low=0
    )
    lr: float = parameter(1e-4, "Adam's learning rate for T, > 0", PAPER, above=0)
    potential_lr: float = parameter(1e-4, "Adam's learning rate for f, > 0", PAPER, above=0)
    milestones: tuple[float, ...] = parameter(
        (0.5, 0.75),
        "fractions of the training at which both learning rates are halved, in (0, 1)",
        above=0,
        below=1,
    )
    clip: float = parameter(0.0, "largest norm of a gradient; 0: no clipping", PAPER, low=0)
    r1: float = parameter(
        0.0, "weight of E|grad f(y)|^2 / 2 in the potential's loss, >= 0", PAPER, low=0
    )
    ema_decay: float = parameter(
        0.99,
        "decay per step of the running average of T's weights, which serves as the map; 0: the "
        "last weights",
        low=0,
        below=1,
    )

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if self.cost in COSTS:
            try:
                check_cost(self.cost, self.gamma, self.noise_count, self.bounded)
            except ValueError as error:
                yield str(error)

    @property
    @abstractmethod
    def bounded(self) -> bool:
        """Whether the map's output is bounded."""

    @property
    def noisy(self) -> bool:
        """Whether the map takes noise, as it does for weak costs."""
        return self.cost in WEAK

    @property
    def draws(self) -> int:
        """Number of draws of z for each point in an update of T."""
        return self.noise_count if self.noisy else 1

    @abstractmethod
    def carried(self, x: Tensor, z: Tensor) -> Tensor:
        """Map points (m, d) and noise (m, noise) of unit variance to points (m, d)."""

    @abstractmethod
    def noise_dimension(self) -> int:
        """Return the dimension of z; 0 without noise."""

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        size = (n, self.noise_dimension())
        return torch.randn(size, generator=generator, device=generator.device)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Push source points forward, (n, d) to (n, d), each with its own noise.

        Without a generator the noise comes from a fixed seed.
        """
        generator = generator or torch.Generator(x.device).manual_seed(UNGUIDED_SEED)
        return self.carried(x, self._noise(len(x), generator))

    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Push each point forward with the same n draws of the noise, (m, d) to (m, n, d)."""
        if not self.noisy:
            moved = self.carried(x, x.new_zeros(len(x), 0))
            return moved.unsqueeze(1).expand(-1, n, -1).contiguous()
        z = self._noise(n, generator)
        moved = self.carried(x.repeat_interleave(n, dim=0), z.repeat(len(x), 1))
        return moved.unflatten(0, (len(x), n))

    def cost_gamma(self) -> float | None:
        """Return gamma of a quadratic cost, 0 for the strong one; None for other costs."""
        return {"weak": self.gamma, "l2": 0.0}.get(self.cost)
