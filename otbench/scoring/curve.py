"""Evaluation of a map during training: its error, or signs of collapse.

A method that calls `FitContext.checkpoint` during training is scored on held-out points while the
clock is stopped. The results are stored in the cell's record as ``curve``: a list of points with
``step``, ``seconds`` of training, and

- ``uvp`` in percent if the true map is known,
- ``coverage``, ``pairwise`` and, with labels, ``modes`` between two collections of images.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from typing import Any

from otbench.interface.data import ImagePair, MeasurePair
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext

log = logging.getLogger(__name__)

POINTS = 4096
"""Number of held-out points, the first ones of the protocol."""

IMAGES = 256
"""Number of test images of either side, a stratified sample."""

CHECKPOINTS = 12
"""Largest number of checkpoints, evenly spaced on a logarithmic scale; the end is added."""

IMAGE_CHECKPOINTS = 10
"""Number of checkpoints of maps of images, evenly spaced over the updates, including the end."""

Points = list[dict[str, Any]]
"""The points of a curve, in order of time."""


class Curve(ABC):
    """Scores a map at some of its checkpoints.

    Parameters
    ----------
    ctx : ScoreContext
    steps : int
        The budget of updates over which the checkpoints are spread.
    points : list
        The list to which measurements are added.
    """

    def __init__(self, ctx: ScoreContext, steps: int, points: Points) -> None:
        self._ctx, self._steps = ctx, steps
        self._evaluated: list[int] = []
        self.points = points

    def due(self, step: int) -> bool:
        """Return whether a checkpoint is far enough from the last point, and before the end."""
        # The end is always evaluated after the training.
        return step < self._steps and self._spaced(step)

    @abstractmethod
    def _spaced(self, step: int) -> bool:
        """Return whether a step is far enough from the last point."""

    @abstractmethod
    def measure(self, method: Any) -> dict[str, float]:
        """Score the map as it is."""

    def evaluate(self, step: int, seconds: float, method: Any) -> None:
        """Add a point; if the map cannot be scored, the curve is unchanged."""
        self._evaluated.append(step)
        try:
            values = self.measure(method)
        except Exception:
            log.exception("no score at step %d", step)
            return
        if all(map(math.isfinite, values.values())):
            self.points.append({"step": step, "seconds": round(seconds, 3), **values})

    def finish(self, step: int, seconds: float, method: Any) -> None:
        """Add the trained map if any checkpoint was evaluated."""
        if not self._evaluated:
            return
        if self.points and self.points[-1]["step"] >= step:
            step = self.points.pop()["step"]
        self.evaluate(step, seconds, method)


class ErrorCurve(Curve):
    """The unexplained variance of a map if the true map is known.

    The number of updates grows from one checkpoint to the next by a factor of at least
    (steps / first)^(1 / (CHECKPOINTS - 1)).
    """

    def __init__(self, data: MeasurePair, ctx: ScoreContext, steps: int, points: Points) -> None:
        from otbench.tasks.transport import held_out

        super().__init__(ctx, steps, points)
        known = held_out(data, ctx)
        assert known.images is not None
        self._source, self._truth = known.source[:POINTS], known.images[:POINTS]

    def _spaced(self, step: int) -> bool:
        """Compare with the last step on a logarithmic scale."""
        if not self._evaluated:
            return True
        first, last = self._evaluated[0], self._evaluated[-1]
        ratio = max(self._steps / first, 1.0) ** (1 / (CHECKPOINTS - 1))
        return last * ratio <= step

    def measure(self, method: Any) -> dict[str, float]:
        """Return ``uvp``."""
        from otbench.ot.w2.scores import uvp
        from otbench.tasks.transport import carried

        pushed = carried(method, self._source, self._ctx)
        return {"uvp": uvp(pushed.numpy(force=True), self._truth.numpy(force=True))}


class ImageCurve(Curve):
    """The signs of collapse of a map of images: see `otbench.metrics.collapse`.

    There is one checkpoint in each tenth of the updates. The classifier that provides the features
    is trained at the first checkpoint, unless it exists already.
    """

    def __init__(self, data: ImagePair, ctx: ScoreContext, steps: int, points: Points) -> None:
        super().__init__(ctx, steps, points)
        self._data = data
        self._source = data.source_images.test.sample(IMAGES).images.to(ctx.device)
        reached = data.target_images.test.sample(IMAGES)
        self._target, self._labels = reached.images.to(ctx.device), reached.labels

    def _spaced(self, step: int) -> bool:
        """Return whether a tenth of the updates ends between the last step and this one."""
        last = self._evaluated[-1] if self._evaluated else 0
        tenths = [at * IMAGE_CHECKPOINTS // self._steps for at in (last, step)]
        return tenths[0] < tenths[1]

    def measure(self, method: Any) -> dict[str, float]:
        """Return ``coverage``, ``pairwise`` and, if there are modes to count, ``modes``."""
        from otbench.metrics.domain import classifier, domain_features
        from otbench.metrics.modes import mode_share
        from otbench.metrics.prdc import coverage
        from otbench.metrics.translation import pairwise_ratio
        from otbench.tasks.translation import as_images
        from otbench.tasks.transport import carried

        ctx, call = self._ctx, f"{type(method).__name__}.push"
        moved, _ = as_images(carried(method, self._source.flatten(1), ctx), self._data, call)
        n = min(len(moved), len(self._target))
        # `domain_features` would keep the features in memory as long as the cell.
        features = ctx.batched(classifier(ctx).network.features, moved)
        values = {
            "coverage": coverage(domain_features(self._target, ctx)[:n], features[:n]),
            "pairwise": pairwise_ratio(moved, self._target),
        }
        try:
            values["modes"] = mode_share(features, self._labels, ctx)
        except Undefined as reason:
            log.info("modes are not counted: %s", reason)
        return values


def map_curve(data: MeasurePair, ctx: ScoreContext, steps: int, points: Points) -> Curve | None:
    """Return the curve of a map's error if the true map is known, else None."""
    from otbench.metrics.maps import unknown_map

    return None if unknown_map(data) else ErrorCurve(data, ctx, steps, points)
