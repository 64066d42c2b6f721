"""Limited data: paths between training images, where there are few of them."""

from __future__ import annotations

from typing import ClassVar

import torch

from otbench.interface.artefacts import KnownPaths
from otbench.interface.data import ImageDataset
from otbench.interface.method import Interpolator
from otbench.interface.scoring import ScoreContext
from otbench.tasks.drawing import (
    GEODESIC_METRICS,
    PathTask,
    drawn_paths,
    exact_geodesics,
    random_pairs,
)

FEW = 200
"""Training images at most."""

PAIRS, PAIR_SEED = 32, 2026
"""Pairs at most, and the seed of their draw: of the protocol, so that all methods see the same."""


class LimitedData(PathTask):
    """Draw paths between training images of a data set that has at most `FEW` of them.

    What does a method draw between images that it saw, when it saw 2, 4, 10 or 100 (Feng &
    Strohmer 2024, section 7)? All pairs where there are at most `PAIRS`, else a fixed draw of so
    many (and never more than `ScoreContext.pairs`). The exact answer is McCann's geodesic by a
    plan between the pixels. A scene is left to the task ``geodesic``, which draws the same.
    """

    name: ClassVar[str] = "limited-data"
    title: ClassVar[str] = "Interpolation between the few training images"
    order: ClassVar[int] = 50
    default_metrics: ClassVar[tuple[str, ...]] = (
        *GEODESIC_METRICS,
        "max-step",
    )

    def lacks(self, data: ImageDataset) -> str | None:
        """Need 2 to `FEW` training images that are no scene."""
        if data.scene is not None:
            return f"needs a small collection of images: {data.name} is a scene, see geodesic"
        if not 2 <= len(data.train) <= FEW:
            return f"needs 2 to {FEW} training images: {data.name} has {len(data.train)}"
        return None

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> KnownPaths:
        """Return the paths with the exact ones."""
        chosen = random_pairs(len(data.train), min(PAIRS, ctx.pairs), PAIR_SEED)
        x0, x1 = data.train.images[chosen].to(ctx.device)
        times = torch.linspace(0, 1, ctx.frames)
        frames = drawn_paths(method, x0, x1, times, ctx)
        exact = exact_geodesics(x0, x1, times)
        return KnownPaths(x0, x1, frames, times.to(ctx.device), exact=exact)
