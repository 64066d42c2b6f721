"""Properties of any weak optimal plan, collapse, and the course of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from otbench.interface.artefacts import WeakTransport
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.metrics.maps import bounded
from otbench.metrics.weak_maps import WeakMapMetric

SPAN = 200
"""Span in steps of the moving average of the loss (weights decay by the factor 1 - 2 / 201)."""

TAIL = 0.2
"""Final fraction of the training over which the standard deviation of losses is computed."""


def _pairs(artefact: WeakTransport) -> tuple[Tensor, Tensor]:
    """Return the differences of all pairs of points, and of their barycentric images."""
    x, moved = artefact.source.double(), artefact.barycentric.double()
    if len(x) < 2:
        raise Undefined("a single point has no pair")
    first, second = torch.triu_indices(len(x), len(x), 1, device=x.device)
    return x[first] - x[second], moved[first] - moved[second]


@dataclass(frozen=True)
class BarycentricLipschitz(WeakMapMetric):
    r"""Percentile of :math:`|\bar T(x) - \bar T(x')| / |x - x'|` over all pairs of 400 points.

    The optimal barycentric map has slopes of at most 1 / gamma. The means of all points are over
    the same draws of the noise.

    Parameters
    ----------
    percentile : float
        100 is the largest slope.
    """

    percentile: float = parameter(99.0, "percentile of the slopes between pairs", low=0, high=100)

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf)"
    title: ClassVar[str] = "Slopes of the barycentric map"

    @property
    def id(self) -> str:
        """Name with the percentile."""
        return f"bary_lipschitz[p={self.percentile:g}]"

    def compute(self, artefact: WeakTransport, ctx: ScoreContext) -> Value:
        """Return the percentile of the slopes."""
        steps, moves = _pairs(artefact)
        apart = steps.norm(dim=1)
        slopes = (moves.norm(dim=1)[apart > 0] / apart[apart > 0]).numpy(force=True)
        if not len(slopes):
            raise Undefined("all points are the same")
        value = float(np.percentile(slopes, self.percentile))
        return bounded(Value(value, None, len(artefact.source)), self.id)


@dataclass(frozen=True)
class BarycentricMonotonicity(WeakMapMetric):
    r"""Share of pairs with :math:`\langle \bar T(x) - \bar T(x'), x - x'\rangle \ge 0`.

    The optimal barycentric map is the gradient of a convex function, so its share is 1.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[0, 1]"
    title: ClassVar[str] = "Pairs mapped monotonically by the barycentric map"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "bary_monotonicity"

    def compute(self, artefact: WeakTransport, ctx: ScoreContext) -> Value:
        """Count pairs."""
        steps, moves = _pairs(artefact)
        share = ((steps * moves).sum(dim=1) >= 0).double().mean()
        return Value(float(share), None, len(artefact.source))


def spread_ratio(pushed: Tensor, target: Tensor) -> float:
    """Return the mean distance of all pairs of pushed points over that of the target's.

    Parameters
    ----------
    pushed, target : Tensor, shape (n, d), (m, d)
        float64; n and m at least 2.

    Raises
    ------
    Undefined
        If all points of the target are the same.
    """
    due = float(torch.pdist(target).mean())
    if not due > 0:
        raise Undefined("the target is a single point: it has no spread")
    return float(torch.pdist(pushed).mean()) / due


@dataclass(frozen=True)
class SpreadRatio(WeakMapMetric):
    """Mean distance of two pushed points over that of two target points.

    It is 1 if the target is reached. Below 0.5 a map counts as collapsed.
    """

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf)"
    title: ClassVar[str] = "Spread of the pushed points over the target's"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "spread_ratio"

    def compute(self, artefact: WeakTransport, ctx: ScoreContext) -> Value:
        """Average over all pairs, with one independent draw per point."""
        m, k, _ = artefact.draws.shape
        if m < 2:
            raise Undefined("a single point has no pair")
        rows = torch.arange(m, device=artefact.draws.device)
        pushed, target = artefact.draws[rows, rows % k].double(), artefact.target.double()
        return bounded(Value(spread_ratio(pushed, target), None, m), self.id)


@dataclass(frozen=True)
class PotentialLoss(WeakMapMetric):
    """The potential's loss over training, whose mean is 0 if the target is reached.

    Parameters
    ----------
    of : {"ewma", "spread"}
        The absolute value of its exponential moving average with span 200 at the end, or its
        standard deviation over the last fifth of the steps, in the units of training.
    """

    of: Literal["ewma", "spread"] = "ewma"

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf)"
    title: ClassVar[str] = "Loss of the potential"

    @property
    def id(self) -> str:
        """Name with the quantity."""
        return f"potential_loss[{self.of}]"

    def compute(self, artefact: WeakTransport, ctx: ScoreContext) -> Value:
        """Smooth the recorded losses, or return their spread."""
        if artefact.losses is None or not len(artefact.losses):
            raise Undefined("the method recorded no loss of a potential")
        losses = artefact.losses.double().numpy(force=True)
        if self.of == "spread":
            tail = losses[-max(2, round(TAIL * len(losses))) :]
            if len(tail) < 2:
                raise Undefined("a single step has no spread")
            return Value(float(tail.std(ddof=1)), None, len(tail))
        return Value(abs(smoothed(losses, SPAN)[-1]), None, len(losses))


def smoothed(losses: np.ndarray, span: int) -> np.ndarray:
    """Return the exponential moving average with weights that sum to 1, shape (steps,).

    The weight of a loss is (1 - 2 / (span + 1)) to the power of its age.
    """
    keep = 1 - 2 / (span + 1)
    total = weight = 0.0
    averages = np.empty(len(losses))
    for step, loss in enumerate(losses):
        total, weight = keep * total + loss, keep * weight + 1
        averages[step] = total / weight
    return averages
