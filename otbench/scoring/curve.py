"""Evaluation of a map during training: its error, or whether it collapses.

A method that calls `FitContext.checkpoint` while it trains is scored on the way, on held-out
points, and the clock stands still. What comes of it stands in the cell's record as ``curve``: a
list of points with ``step``, ``seconds`` of training, and

- ``uvp`` in percent where the true map is known,
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
"""Of the protocol's held-out points, the first ones."""

IMAGES = 256
"""Test images of either side, a stratified sample."""

CHECKPOINTS = 12
"""At most so many, even on the scale of the logarithm, and the end besides."""

IMAGE_CHECKPOINTS = 10
"""Where images are carried, even over the updates, the end among them."""

Points = list[dict[str, Any]]
"""In the order of time."""


class Curve(ABC):
    """Scores a map at some of its checkpoints.

    Parameters
    ----------
    ctx : ScoreContext
    steps : int
        The budget, which the checkpoints are spread over.
    points : list
        What is measured is added to it.
    """

    def __init__(self, ctx: ScoreContext, steps: int, points: Points) -> None:
        self._ctx, self._steps = ctx, steps
        self._evaluated: list[int] = []
        self.points = points

    def due(self, step: int) -> bool:
        """Tell whether a checkpoint is far enough from the last point, and before the end."""
        # The end is evaluated after the training, whatever the method does there.
        return step < self._steps and self._spaced(step)

    @abstractmethod
    def _spaced(self, step: int) -> bool:
        """Tell whether a step is far enough from the last point."""

    @abstractmethod
    def measure(self, method: Any) -> dict[str, float]:
        """Score the map as it is."""

    def evaluate(self, step: int, seconds: float, method: Any) -> None:
        """Add a point; a map that cannot be scored leaves the curve as it is."""
        self._evaluated.append(step)
        try:
            values = self.measure(method)
        except Exception:
            log.exception("no score at step %d", step)
            return
        if all(map(math.isfinite, values.values())):
            self.points.append({"step": step, "seconds": round(seconds, 3), **values})

    def finish(self, step: int, seconds: float, method: Any) -> None:
        """Add the trained map, to a curve that has been begun."""
        if not self._evaluated:
            return
        if self.points and self.points[-1]["step"] >= step:
            step = self.points.pop()["step"]
        self.evaluate(step, seconds, method)


class ErrorCurve(Curve):
    """The unexplained variance of a map whose truth is known.

    Each checkpoint comes after at least (steps / first)^(1 / (CHECKPOINTS - 1)) times the updates
    of the one before.
    """

    def __init__(self, data: MeasurePair, ctx: ScoreContext, steps: int, points: Points) -> None:
        from otbench.tasks.transport import held_out

        super().__init__(ctx, steps, points)
        known = held_out(data, ctx)
        assert known.images is not None
        self._source, self._truth = known.source[:POINTS], known.images[:POINTS]

    def _spaced(self, step: int) -> bool:
        """Compare with the last step on the scale of the logarithm."""
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

    A tenth of the updates lies between two checkpoints. The classifier whose features are compared
    is trained, where it was not yet, at the first of them.
    """

    def __init__(self, data: ImagePair, ctx: ScoreContext, steps: int, points: Points) -> None:
        super().__init__(ctx, steps, points)
        self._data = data
        self._source = data.source_images.test.sample(IMAGES).images.to(ctx.device)
        reached = data.target_images.test.sample(IMAGES)
        self._target, self._labels = reached.images.to(ctx.device), reached.labels

    def _spaced(self, step: int) -> bool:
        """Tell whether a tenth of the updates ends between the last step and this one."""
        last = self._evaluated[-1] if self._evaluated else 0
        tenths = [at * IMAGE_CHECKPOINTS // self._steps for at in (last, step)]
        return tenths[0] < tenths[1]

    def measure(self, method: Any) -> dict[str, float]:
        """Return ``coverage``, ``pairwise`` and, where there are modes to count, ``modes``."""
        from otbench.metrics.domain import classifier, domain_features
        from otbench.metrics.modes import mode_share
        from otbench.metrics.prdc import coverage
        from otbench.metrics.translation import pairwise_ratio
        from otbench.tasks.translation import as_images
        from otbench.tasks.transport import carried

        ctx, call = self._ctx, f"{type(method).__name__}.push"
        moved, _ = as_images(carried(method, self._source.flatten(1), ctx), self._data, call)
        n = min(len(moved), len(self._target))
        # Not by `domain_features`: what it remembers stays in memory as long as the cell.
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
    """Return the curve of a map's error where the true map is known, else None."""
    from otbench.metrics.maps import unknown_map

    return None if unknown_map(data) else ErrorCurve(data, ctx, steps, points)
