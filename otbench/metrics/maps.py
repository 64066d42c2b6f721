"""The quality of a map: comparison with the optimal map, dual value, monotonicity, speed."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from otbench.interface.artefacts import Transport
from otbench.interface.data import MeasurePair
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput

LIMIT = 1e6
"""Largest score that is reported; a map with a greater one has diverged."""

BLOCKS = 32
"""Number of blocks of points whose scores give a standard error."""

PAIRINGS = 16


def bounded(value: Value, name: str) -> Value:
    """Return a score unless it is not finite or greater than `LIMIT`.

    Raises
    ------
    BadOutput
        If it is; the row is then marked as failed.
    """
    if not math.isfinite(value.value):
        raise BadOutput(f"{name} is {value.value}: the map is off")
    if abs(value.value) > LIMIT:
        raise BadOutput(f"{name} is {value.value:.3g}, beyond {LIMIT:g}: the map is off")
    return value


def unknown_map(data: MeasurePair) -> str | None:
    """Return the reason that the optimal map of a pair is unknown, or None if it is known."""
    if data.true_map(torch.zeros(1, data.dimension)) is None:
        return f"the optimal map of {data.name} is not known"
    return None


class MapMetric(Metric):
    """Base of the metrics of the task ``transport``."""

    tasks: ClassVar[tuple[str, ...]] = ("transport",)


@dataclass(frozen=True)
class AgainstTruth(MapMetric):
    """A comparison with the optimal map, or of the inverse with the optimal one's inverse.

    Parameters
    ----------
    way : {"forward", "inverse"}
        Source points are pushed forward, or their true images are pulled back.
    """

    way: Literal["forward", "inverse"] = "forward"

    def missing(self, data: Any) -> str | None:
        """Require the optimal map."""
        return unknown_map(data)

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Compare point by point."""
        if artefact.images is None:
            raise Undefined("the optimal map is not known")
        if self.way == "forward":
            points, moved, truth = artefact.source, artefact.pushed, artefact.images
        elif artefact.pulled is None:
            raise Undefined("needs pull: the method has no inverse map")
        elif isinstance(artefact.pulled, BadOutput):
            raise artefact.pulled
        else:
            points, moved, truth = artefact.images, artefact.pulled, artefact.source
        arrays = (x.double().numpy(force=True) for x in (points, moved, truth))
        return bounded(self.compare(*arrays), self.id)

    @abstractmethod
    def compare(self, points: np.ndarray, moved: np.ndarray, truth: np.ndarray) -> Value:
        """Score the points (n, d) under the map against those under the optimal one."""


@dataclass(frozen=True)
class UVP(AgainstTruth):
    r"""Unexplained variance percentage, :math:`100\,E\|\hat T(x)-T^*(x)\|^2/\mathrm{Var}(Q)`.

    It is 0 for the optimal map and 100 for the constant map to the target's mean (Korotin et al.
    2021). The inverse compares source points with their true images pulled back, relative to the
    source's variance. The variance is that of the true points in use. The standard error is over
    blocks of points.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), percent"
    title: ClassVar[str] = "Unexplained variance of the map"

    @property
    def id(self) -> str:
        """Name with direction."""
        return f"uvp[{self.way}]"

    def compare(self, points: np.ndarray, moved: np.ndarray, truth: np.ndarray) -> Value:
        """Return the percentage over all points."""
        from otbench.ot.w2.scores import total_variance, uvp

        n = len(truth)
        variance = total_variance(truth)
        if not variance > 0:
            raise Undefined("the points to reach are all the same: they have no variance")
        count = min(BLOCKS, n)
        blocks = zip(np.array_split(moved, count), np.array_split(truth, count), strict=True)
        parts = [uvp(a, b, variance) for a, b in blocks]
        stderr = float(np.std(parts, ddof=1) / math.sqrt(count)) if count > 1 else None
        return Value(uvp(moved, truth, variance), stderr, n)


@dataclass(frozen=True)
class Cosine(AgainstTruth):
    """Cosine between the displacements of the map and those of the optimal one.

    It is 1 for the optimal map and undefined for a map that moves nothing.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[-1, 1]"
    title: ClassVar[str] = "Cosine of the displacements"

    @property
    def id(self) -> str:
        """Name with direction."""
        return f"cosine[{self.way}]"

    def compare(self, points: np.ndarray, moved: np.ndarray, truth: np.ndarray) -> Value:
        """Return the cosine over all points."""
        from otbench.ot.w2.scores import cosine

        for still in (moved, truth):
            if np.array_equal(still, points):
                raise Undefined("a map that moves no point has no direction")
        return Value(cosine(points, moved, truth), None, len(points))


@dataclass(frozen=True)
class W2Gap(MapMetric):
    r"""Distance of the dual value from half the squared W2, in percent of the latter.

    Where the optimal map is known, the target points are the images of the source points and the
    true value is the cost of these pairs, so that exact potentials score 0 for any sample.
    Otherwise the true value is that of the data set, and the score contains sampling noise.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), percent"
    title: ClassVar[str] = "Gap of the dual value"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "w2_gap"

    def missing(self, data: Any) -> str | None:
        """Require the distance, or the optimal map, which determines it."""
        return None if data.squared_w2() is not None else unknown_map(data)

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Compare the two values."""
        from otbench.ot.w2.scores import half_squared_w2

        if artefact.dual is None:
            raise Undefined("needs dual_value: the method has no dual potentials")
        if isinstance(artefact.dual, BadOutput):
            raise artefact.dual
        if artefact.images is not None:
            ends = (x.numpy(force=True) for x in (artefact.source, artefact.images))
            truth = half_squared_w2(*ends)
        else:
            truth = ctx.data.squared_w2() / 2
        if not truth > 0:
            raise Undefined("the two distributions are the same: there is no gap to relate")
        gap = Value(100 * abs(artefact.dual - truth) / truth, None, len(artefact.source))
        return bounded(gap, self.id)


@dataclass(frozen=True)
class Monotonicity(MapMetric):
    r"""Share of pairs of source points with :math:`\langle Tx - Ty, x - y\rangle \ge 0`.

    The share is 1 for the gradient of a convex function, and also for a constant map. Each point
    is paired with 16 others. The standard error is over points.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[0, 1]"
    title: ClassVar[str] = "Pairs of points mapped monotonically"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "monotonicity"

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Average over points, which are independent, so each is paired with its successors."""
        x, moved = artefact.source.double(), artefact.pushed.double()
        shares = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        pairings = min(PAIRINGS, len(x) - 1)
        if not pairings:
            raise Undefined("a single point has no pair")
        for shift in range(1, pairings + 1):
            rise = ((moved - moved.roll(shift, 0)) * (x - x.roll(shift, 0))).sum(1)
            shares += (rise >= 0).double() / pairings
        return Value.of(shares)


@dataclass(frozen=True)
class PushRate(MapMetric):
    """Source points that the map pushes forward per second on the device in use.

    The map is called on 4,096 points at a time; the first call is not counted. The value depends on
    the machine and its load: compare within one run only.
    """

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "(0, inf), points a second"
    title: ClassVar[str] = "Points pushed forward per second"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "push_rate"

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Divide the points by the seconds."""
        n = len(artefact.pushed)
        return Value(n / max(artefact.push_seconds, 1e-9), None, n)
