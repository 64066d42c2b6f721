"""How long a map trains until it is good, where its error was followed; see `curve`."""

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

    At the first of the checkpoints that shows it: about a dozen, evenly spread on the scale of the
    logarithm of the updates, so that the true time is at or after the checkpoint before. All the
    method's own seconds count, compilation included, and none of the scoring. A map that never
    comes so far has no such time: the row is skipped and says how far it came. The time depends on
    the machine and its load: compare within one run only.

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
        """Need the optimal map."""
        return unknown_map(data)

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Find the first checkpoint that is good enough."""
        curve = [point for point in ctx.curve if "uvp" in point]
        if not curve:
            raise Undefined("its error was not followed: fit calls no ctx.checkpoint")
        for point in curve:
            if point["uvp"] <= self.percent:
                return Value(point["seconds"], None, len(curve))
        best = min(curve, key=lambda point: point["uvp"])
        raise Undefined(
            f"{self.percent:g} percent was not reached: the least was {best['uvp']:.3g}, after "
            f"{best['seconds']:.3g} of {ctx.curve[-1]['seconds']:.3g} s of training"
        )
