"""How long a map trains until its error is small, if it was evaluated during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from otbench.interface.artefacts import Transport
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.maps import MapMetric, unknown_map


@dataclass(frozen=True)
class TimeToUVP(MapMetric):
    """Seconds of training after which the unexplained variance was first this low.

    The time is that of the first checkpoint that shows it. There are about a dozen checkpoints,
    evenly spaced in the logarithm of the updates, so the true time is between this checkpoint and
    the one before. All time of the method counts, including compilation, but not the scoring. If a
    map never reaches it, the row is skipped and reports the lowest value. The time depends on the
    machine and its load: compare within one run only.

    Parameters
    ----------
    percent : float
        The unexplained variance to reach, forward (see `otbench.metrics.maps.UVP`), on 4,096 of
        the held-out points.
    """

    percent: float = 5.0

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "(0, inf), seconds"
    title: ClassVar[str] = "Training time to an unexplained variance"

    def __post_init__(self) -> None:
        if not self.percent > 0:
            raise ValueError(f"percent must be positive, got {self.percent}")

    @property
    def id(self) -> str:
        """Name with the percentage."""
        return f"time_to_uvp[percent={self.percent:g}]"

    def missing(self, data: Any) -> str | None:
        """Require the optimal map."""
        return unknown_map(data)

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Find the first checkpoint that is good enough."""
        curve = [point for point in ctx.curve if "uvp" in point]
        if not curve:
            raise Undefined(
                "its error during training is unknown, because fit does not call ctx.checkpoint"
            )
        for point in curve:
            if point["uvp"] <= self.percent:
                return Value(point["seconds"], None, len(curve))
        best = min(curve, key=lambda point: point["uvp"])
        raise Undefined(
            f"{self.percent:g} percent was not reached: the lowest was {best['uvp']:.3g}, after "
            f"{best['seconds']:.3g} of {ctx.curve[-1]['seconds']:.3g} s of training"
        )
