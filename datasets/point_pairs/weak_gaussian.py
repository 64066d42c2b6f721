"""Two Gaussians with common axes, with a closed form of weak optimal transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otbench.interface import Dataset, MeasurePair, parameter
from otbench.ot.discrete.weak import WeakAnswer, gaussian_answer
from otbench.ot.gaussian import Array
from otbench_datasets.definitions import definition_digest, drawing_seed
from otbench_datasets.point_pairs.gaussian_pair import STRETCH, Gaussians

VERSION = 1


class CommonAxes(Gaussians):
    """Two Gaussians whose covariances have the same eigenvectors.

    Parameters
    ----------
    sha256 : str
    gamma : float
    means : tuple of Array, shape (d,)
    axes : Array, shape (d, d)
        Orthonormal columns.
    spreads : tuple of Array, shape (d,)
        Standard deviations along the axes.
    """

    name = "weak-gaussian"

    def __init__(
        self,
        sha256: str,
        gamma: float,
        means: tuple[Array, Array],
        axes: Array,
        spreads: tuple[Array, Array],
    ) -> None:
        covariances = [(axes * spread**2) @ axes.T for spread in spreads]
        super().__init__(sha256, means, (covariances[0], covariances[1]))
        self.gamma: float = gamma
        self._axes, self._spreads = axes, spreads

    def weak_answer(self, gamma: float) -> WeakAnswer:
        """Return the closed form; see `otbench.ot.discrete.weak.gaussian_answer`."""
        (mean, to_mean), (spread, to_spread) = self.means, self._spreads
        return gaussian_answer(mean, self._axes, spread, to_mean, to_spread, gamma)


@dataclass
class WeakGaussian(Dataset):
    """Two Gaussians with common random axes, for the gamma-weak quadratic cost.

    Standard deviations along the axes are log-uniform between 1/2 and 2; means are standard normal.
    The barycentric map, the conditional variance and the weak cost are known for every gamma.
    Metrics that need a true map use that of the strong cost (gamma = 0).
    """

    dim: int = parameter(2, "dimension, 1 to 1024", low=1, high=1024)
    gamma: float = parameter(
        1.0, "gamma of the weak cost for which solutions are compared, >= 0", low=0
    )
    seed: int = drawing_seed("seed of means, axes and standard deviations, 0 to 2^31 - 1")

    title: ClassVar[str] = "Two Gaussians, any dimension, weak cost (exact barycentric map)"

    def load(self) -> MeasurePair:
        """Build the pair; see `otbench.interface.Dataset.load`."""
        rng = np.random.default_rng(self.seed)
        means = rng.normal(size=(2, self.dim))
        axes, upper = np.linalg.qr(rng.normal(size=(self.dim, self.dim)))
        axes = axes * np.sign(np.diag(upper))
        spreads = STRETCH ** rng.uniform(-0.5, 0.5, size=(2, self.dim))
        definition = {"dim": self.dim, "gamma": self.gamma, "seed": self.seed}
        digest = definition_digest("weak-gaussian", VERSION, **definition)
        return CommonAxes(digest, self.gamma, (means[0], means[1]), axes, (spreads[0], spreads[1]))
