"""A Gaussian and a mixture of Gaussians in one dimension, with a known optimal map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface import Dataset, JaxSampler, MeasurePair, parameter
from otbench_datasets.definitions import definition_digest

VERSION = 1

STEP = 9.0
"""Distance between the means of neighbouring components before whitening."""

BISECTIONS = 60
REACH, NODES = 9.0, 20_001
"""Interval and number of points of the trapezoidal rule for the distance; many, as the map is
steep."""


class LineMixture(MeasurePair):
    """N(0, 1) and equally likely, equally spaced Gaussians, scaled to mean 0 and variance 1.

    Parameters
    ----------
    components : int
    """

    name, variant, dimension = "mixture-1d", "default", 1

    def __init__(self, components: int) -> None:
        self.sha256 = definition_digest(self.name, VERSION, components=components)
        raw = STEP * (np.arange(components) - (components - 1) / 2)
        scale = math.sqrt(1 + float((raw**2).mean()))
        self.means, self.spread = raw / scale, 1 / scale

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of N(0, 1)."""
        return torch.randn(n, 1, generator=generator)

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the mixture."""
        means = torch.from_numpy(self.means).float()
        chosen = torch.randint(len(means), (n,), generator=generator)
        noise = torch.randn(n, generator=generator)
        return (means[chosen] + self.spread * noise).unsqueeze(1)

    def true_map(self, x: Tensor) -> Tensor:
        """Map points (n, 1) by the increasing map F_Q^-1 o Phi, computed by bisection."""
        wanted = x.double()
        # Of the two tail probabilities, only the smaller one keeps its precision in the logarithm.
        side = torch.where(wanted > 0, -1.0, 1.0)
        level = torch.special.log_ndtr(side * wanted)
        reach = float(self.means[-1]) + self.spread * (wanted.abs() + 10)
        low, high = -reach, reach
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = (self._log_cdf(middle, side) < level) == (side > 0)
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return ((low + high) / 2).to(x)

    def _log_cdf(self, y: Tensor, side: Tensor) -> Tensor:
        """Return log P(Y < y) if side is 1 and log P(Y > y) if it is -1."""
        means = torch.from_numpy(self.means).to(y)
        parts = torch.special.log_ndtr(side * (y - means) / self.spread)
        return parts.logsumexp(dim=1, keepdim=True) - math.log(len(means))

    def squared_w2(self) -> float:
        """Return E|T(X) - X|^2 by quadrature."""
        x = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64).unsqueeze(1)
        weights = torch.exp(-x.square() / 2)
        moved = self.true_map(x) - x
        return float((weights * moved.square()).sum() / weights.sum())

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler]:
        """Return samplers of the two distributions."""
        from jax.tree_util import Partial

        target: JaxSampler = Partial(_mixture, np.float32(self.means), np.float32(self.spread))
        return _normal, target


def _normal(key: Any, n: int) -> Any:
    import jax

    return jax.random.normal(key, (n, 1))


def _mixture(means: Any, spread: Any, key: Any, n: int) -> Any:
    import jax

    first, second = jax.random.split(key)
    chosen = jax.random.randint(first, (n,), 0, len(means))
    places = jax.numpy.asarray(means)[chosen]
    return (places + spread * jax.random.normal(second, (n,)))[:, None]


@dataclass
class Mixture1D(Dataset):
    """N(0, 1) and an equally weighted mixture in one dimension, the toy of Korotin et al. 2022.

    Components have standard deviation 1 and a spacing of 9; the mixture is then whitened exactly.
    """

    components: int = parameter(
        3, "Gaussians in the mixture, 1 to 64", "Korotin et al. 2022: 3", low=1, high=64
    )

    title: ClassVar[str] = "A Gaussian to a mixture in one dimension (known map)"

    def load(self) -> MeasurePair:
        """Build the pair; see `otbench.interface.Dataset.load`."""
        return LineMixture(self.components)
