"""Two Gaussians, whose optimal map is affine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface import Dataset, JaxSampler, MeasurePair, parameter
from otbench.ot.gaussian import Array, bures_map, bures_wasserstein
from otbench_datasets.definitions import definition_digest, drawing_seed

VERSION = 1
STRETCH = 4.0
"""Variances along the principal axes lie between 1 / `STRETCH` and `STRETCH`."""


class Gaussians(MeasurePair):
    """Two Gaussians with their Bures map (see `otbench.ot.gaussian`).

    Parameters
    ----------
    sha256 : str
    means : tuple of Array, shape (d,)
        Means of source and target.
    covariances : tuple of Array, shape (d, d)
    """

    name, variant = "gaussian", "default"

    def __init__(
        self, sha256: str, means: tuple[Array, Array], covariances: tuple[Array, Array]
    ) -> None:
        self.sha256 = sha256
        self.dimension = len(means[0])
        self.means, self.covariances = means, covariances
        self._factors = [np.linalg.cholesky(covariance) for covariance in covariances]
        matrix, offset = bures_map(means[0], covariances[0], means[1], covariances[1])
        self._matrix, self._offset = torch.from_numpy(matrix), torch.from_numpy(offset)

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the first Gaussian."""
        return self._draw(0, n, generator)

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the second Gaussian."""
        return self._draw(1, n, generator)

    def _draw(self, side: int, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, self.dimension, generator=generator, dtype=torch.float64)
        factor = torch.from_numpy(self._factors[side])
        return (noise @ factor.T + torch.from_numpy(self.means[side])).float()

    def true_map(self, x: Tensor) -> Tensor:
        """Map points (n, d) by the Bures map, computed in float64."""
        moved = x.double() @ self._matrix.to(x.device).T + self._offset.to(x.device)
        return moved.float()

    def squared_w2(self) -> float:
        """Return the squared Bures-Wasserstein distance."""
        (m0, m1), (s0, s1) = self.means, self.covariances
        return bures_wasserstein(m0, s0, m1, s1)

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler]:
        """Return samplers of the two Gaussians."""
        return self._jax_sampler(0), self._jax_sampler(1)

    def _jax_sampler(self, side: int) -> JaxSampler:
        from jax.tree_util import Partial

        factor, mean = (np.float32(a) for a in (self._factors[side], self.means[side]))
        sampler: JaxSampler = Partial(_normal, factor, mean)
        return sampler


def _normal(factor: Any, mean: Any, key: Any, n: int) -> Any:
    import jax

    return jax.random.normal(key, (n, len(mean))) @ factor.T + mean


def random_gaussian(dimension: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw mean (d,) and covariance (d, d).

    The mean is standard normal, the axes are uniform on the orthogonal group, and the variances
    along them are log-uniform between 1 / `STRETCH` and `STRETCH`.
    """
    mean = rng.normal(size=dimension)
    axes, upper = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    axes = axes * np.sign(np.diag(upper))
    variances = STRETCH ** rng.uniform(-1, 1, size=dimension)
    return mean, (axes * variances) @ axes.T


@dataclass
class GaussianPair(Dataset):
    """Two random Gaussians, with an affine optimal map and a closed form of the distance.

    Variances along the principal axes are log-uniform between 1/4 and 4; means are standard normal.
    """

    dim: int = parameter(4, "dimension, 1 to 1024", low=1, high=1024)
    seed: int = drawing_seed("seed of the means and covariances, 0 to 2^31 - 1")

    title: ClassVar[str] = "Two Gaussians, any dimension (affine map, exact distance)"

    def load(self) -> MeasurePair:
        """Build the pair; see `otbench.interface.Dataset.load`."""
        rng = np.random.default_rng(self.seed)
        (m0, s0), (m1, s1) = (random_gaussian(self.dim, rng) for _ in range(2))
        digest = definition_digest("gaussian", VERSION, dim=self.dim, seed=self.seed)
        return Gaussians(digest, (m0, m1), (s0, s1))
