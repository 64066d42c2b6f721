"""Distances between samples of the pushed points and of the target; no true map is needed.

Two samples of the same distribution also have a positive distance. This floor and the distance of
the source itself have their own columns, and a score should be compared with both.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from otbench.interface.artefacts import Transport
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.metrics.maps import MapMetric, bounded

PROJECTION_SEED = 7_160_005
CHUNK = 64
"""Number of directions that are sorted at once."""

SINKHORN_POINTS = 512
"""Points of each sample in the plane (release of Amos 2023)."""

EDGES = 10_000_000
"""Largest number of iterations of the exact solver; 1,024 points need a few thousand."""


class BetweenSamples(MapMetric):
    """A distance between two samples of as many points each."""

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), units of the data"

    def samples(self, artefact: Transport) -> tuple[Tensor, Tensor]:
        """Return what is compared: the pushed points and the target."""
        return artefact.pushed, artefact.target

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Return the distance between the samples."""
        return bounded(self.distance(*self.samples(artefact)), self.id)

    @abstractmethod
    def distance(self, x: Tensor, y: Tensor) -> Value:
        """Measure between two samples (n, d)."""


@dataclass(frozen=True)
class SlicedW2(BetweenSamples):
    r"""Sliced Wasserstein-2 distance of the pushed points to fresh points of the target.

    .. math:: \Big(\tfrac1L \sum_{l} W_2^2(\theta_l^\top x, \theta_l^\top y)\Big)^{1/2}

    over fixed directions, uniform on the sphere (Bonneel et al. 2015, Monte Carlo estimate).

    Parameters
    ----------
    projections : int
        L.
    """

    projections: int = parameter(128, "random directions", low=1)

    title: ClassVar[str] = "Sliced Wasserstein-2 distance to the target"

    @property
    def id(self) -> str:
        """Name with number of projections."""
        return f"sliced_w2[projections={self.projections}]"

    def distance(self, x: Tensor, y: Tensor) -> Value:
        """Sort along each direction."""
        generator = torch.Generator().manual_seed(PROJECTION_SEED)
        theta = torch.randn(self.projections, x.shape[1], generator=generator, dtype=torch.float64)
        theta = (theta / theta.norm(dim=1, keepdim=True)).to(x)
        costs = []
        for part in theta.split(CHUNK):
            sorted_x, sorted_y = (_sorted(part @ points.T) for points in (x, y))
            costs.append((sorted_x.double() - sorted_y.double()).square().mean(1))
        return Value(math.sqrt(float(torch.cat(costs).mean())), None, len(x))


def _sorted(rows: Tensor) -> Tensor:
    # torch also sorts indices; on the CPU NumPy takes a tenth of its time.
    if rows.is_cuda:
        return rows.sort(dim=1).values
    return torch.from_numpy(np.sort(rows.numpy(force=True), axis=1))


@dataclass(frozen=True)
class ExactW2(BetweenSamples):
    """Wasserstein-2 distance between the first pushed points and as many of the target.

    The exact discrete plan of POT, on the CPU. At this size the floor is large in many dimensions.

    Parameters
    ----------
    n : int
        Largest number of points.
    """

    n: int = parameter(1024, "points of each side", low=2, high=8192)

    title: ClassVar[str] = "Exact Wasserstein-2 distance between samples"

    @property
    def id(self) -> str:
        """Name with number of points."""
        return f"exact_w2[n={self.n}]"

    def distance(self, x: Tensor, y: Tensor) -> Value:
        """Solve the assignment."""
        from otbench.ot.discrete.pot import import_pot

        x, y = (points[: self.n].double() for points in (x, y))
        costs = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
        array = costs.numpy(force=True)
        cost = import_pot().emd2([], [], array, numItermax=EDGES)
        return Value(math.sqrt(max(float(cost), 0.0)), None, len(x))


@cache
def _sinkhorn() -> Any:
    import jax

    from otbench.ot.discrete.entropic import import_ott

    PointCloud, LinearProblem, Sinkhorn = import_ott()
    solver = Sinkhorn()

    @jax.jit
    def solve(x: Any, y: Any) -> tuple[Any, Any]:
        found = solver(LinearProblem(PointCloud(x, y)))
        return found.reg_ot_cost, found.converged

    return solve


@dataclass(frozen=True)
class SinkhornCost(BetweenSamples):
    r"""OTT-JAX's regularised cost between 512 moved points and 512 true ones.

    .. math:: \min_P \langle P, C\rangle + \varepsilon\,\mathrm{KL}(P \,|\, a b^\top), \qquad
              C_{ij} = \|x_i - y_j\|^2

    with OTT-JAX 0.6's default: epsilon is 0.05 times the standard deviation of the costs
    themselves, so it is larger for points that are farther away. The release of Amos 2023 uses this
    score in the plane, with the default of the OTT-JAX version of that time. It is not 0 for two
    samples of the same distribution: sampling noise and the entropic regularisation leave a floor,
    which is ``w2-reference[floor,of=sinkhorn]``, or ``[source-floor,of=sinkhorn]`` for the inverse.

    Parameters
    ----------
    way : {"forward", "inverse"}
        Pushed source points against the target, or pulled target points against the source. The
        two samples are independent: where the optimal map is known, the pulled points come from
        other source points than they are compared with, as long as there are 1,024.
    """

    way: Literal["forward", "inverse"] = "forward"

    range: ClassVar[str] = "[0, inf), squared units of the data"
    title: ClassVar[str] = "Sinkhorn cost to held-out samples"

    @property
    def id(self) -> str:
        """Name with direction and number of points."""
        return f"sinkhorn_cost[{self.way},n={SINKHORN_POINTS}]"

    def samples(self, artefact: Transport) -> tuple[Tensor, Tensor]:
        """Return the pushed points and the target, or the pulled points and the source."""
        if self.way == "forward":
            return artefact.pushed, artefact.target
        if artefact.pulled is None:
            raise Undefined("needs pull: the method has no inverse map")
        if isinstance(artefact.pulled, BadOutput):
            raise artefact.pulled
        return artefact.pulled, artefact.source.flip(0)

    def distance(self, x: Tensor, y: Tensor) -> Value:
        """Run Sinkhorn's iterations, in JAX's own precision."""
        from otbench.ot.torch_bridge import to_jax

        x, y = x[:SINKHORN_POINTS], y[:SINKHORN_POINTS]
        cost, converged = _sinkhorn()(to_jax(x), to_jax(y))
        if not bool(converged):
            raise BadOutput(f"Sinkhorn's iterations for {self.id} do not converge")
        return Value(float(cost), None, len(x))


@dataclass(frozen=True)
class SampleReference(BetweenSamples):
    """The same distances between samples of the two distributions, as a reference.

    Parameters
    ----------
    what : {"floor", "source-floor", "identity"}
        Two samples of the target, the two halves of one of the source, or the source against the
        target.
    of : {"sliced", "exact", "sinkhorn"}
        `SlicedW2`, `ExactW2` or `SinkhornCost`, with their usual sizes.
    """

    what: Literal["floor", "source-floor", "identity"] = "floor"
    of: Literal["sliced", "exact", "sinkhorn"] = "sliced"

    direction: ClassVar[Direction] = "neutral"
    title: ClassVar[str] = "Distance of two samples of one side, or of source and target"

    @property
    def _metric(self) -> BetweenSamples:
        if self.of == "sinkhorn":
            return SinkhornCost("inverse" if self.what == "source-floor" else "forward")
        return SlicedW2() if self.of == "sliced" else ExactW2()

    @property
    def id(self) -> str:
        """Name of the reference, then that of the distance with its protocol."""
        return f"{self.what.replace('-', '_')}_{self._metric.id}"

    def samples(self, artefact: Transport) -> tuple[Tensor, Tensor]:
        """Return two samples of one side, or the source and the target."""
        if self.what == "source-floor":
            first, second = artefact.source.tensor_split(2)
            return first[: len(second)], second[: len(first)]
        return (artefact.again if self.what == "floor" else artefact.source), artefact.target

    def distance(self, x: Tensor, y: Tensor) -> Value:
        """Measure as the metric it belongs to."""
        return self._metric.distance(x, y)
