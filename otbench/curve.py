"""The error of a map over the seconds of its training, where the true map is known.

A method that calls `FitContext.checkpoint` while it trains is scored on the way, on held-out
points, and the clock stands still. What comes of it stands in the cell's record as ``curve``.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from otbench.interface import Data, MeasurePair
from otbench.metrics.base import ScoreContext

log = logging.getLogger(__name__)

POINTS = 4096
"""Of the protocol's held-out points, the first ones."""

CHECKPOINTS = 12
"""At most so many, even on the scale of the logarithm, and the end besides."""

Points = list[dict[str, Any]]
"""``step``, ``seconds`` of training and ``uvp`` in percent, in the order of time."""


class Curve:
    """Scores a map at some of its checkpoints.

    Parameters
    ----------
    data : MeasurePair
        With a known map.
    ctx : ScoreContext
    steps : int
        The budget, which the checkpoints are spread over: each comes after at least
        (steps / first)^(1 / (CHECKPOINTS - 1)) times the updates of the one before.
    points : list
        What is measured is added to it.
    """

    def __init__(self, data: MeasurePair, ctx: ScoreContext, steps: int, points: Points) -> None:
        from otbench.tasks.transport import held_out

        known = held_out(data, ctx)
        assert known.images is not None
        self._source, self._truth = known.source[:POINTS], known.images[:POINTS]
        self._ctx, self._steps = ctx, steps
        self._looked_at: list[int] = []
        self.points = points

    def due(self, step: int) -> bool:
        """Tell whether a checkpoint has been waited for long enough."""
        if not self._looked_at:
            return True
        first, last = self._looked_at[0], self._looked_at[-1]
        ratio = max(self._steps / first, 1.0) ** (1 / (CHECKPOINTS - 1))
        # The end is looked at after the training, whatever the method does there.
        return last * ratio <= step < self._steps

    def look(self, step: int, seconds: float, method: Any) -> None:
        """Add a point; a map that cannot be scored leaves the curve as it is."""
        from otbench.ot.w2.scores import uvp
        from otbench.tasks.transport import carried

        self._looked_at.append(step)
        try:
            pushed = carried(method, self._source, self._ctx)
            value = uvp(pushed.numpy(force=True), self._truth.numpy(force=True))
        except Exception:
            log.exception("no score at step %d", step)
            return
        if math.isfinite(value):
            self.points.append({"step": step, "seconds": round(seconds, 3), "uvp": value})

    def end(self, step: int, seconds: float, method: Any) -> None:
        """Add the trained map, to a curve that has been begun."""
        if not self._looked_at:
            return
        if self.points and self.points[-1]["step"] >= step:
            step = self.points.pop()["step"]
        self.look(step, seconds, method)


def curve_for(data: Data, ctx: ScoreContext, steps: int, points: Points) -> Curve | None:
    """Return a curve where the error of a map can be told, else None; see `Curve`."""
    from otbench.metrics.maps import unknown_map

    if not isinstance(data, MeasurePair) or unknown_map(data):
        return None
    return Curve(data, ctx, steps, points)
