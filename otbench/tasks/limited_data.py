"""Limited data: paths between training images of small data sets."""

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
"""Largest number of training images."""

PAIRS, PAIR_SEED = 32, 2026
"""Largest number of pairs, and the protocol's seed for their draw, which all methods share."""


class LimitedData(PathTask):
    """Draw paths between training images of a data set that has at most `FEW` of them.

    This is the setting of Feng & Strohmer 2024, section 7, with 2, 4, 10 or 100 training images.
    The paths join all pairs if there are at most `PAIRS`, otherwise a fixed draw of that many (but
    never more than `ScoreContext.pairs`). The exact paths are McCann's geodesics from a plan
    between the pixels. Scenes are left to the task ``geodesic``, which draws the same paths.
    """

    name: ClassVar[str] = "limited-data"
    title: ClassVar[str] = "Interpolation between the few training images"
    order: ClassVar[int] = 50
    default_metrics: ClassVar[tuple[str, ...]] = (
        *GEODESIC_METRICS,
        "max-step",
    )

    def lacks(self, data: ImageDataset) -> str | None:
        """Require 2 to `FEW` training images that are not a scene."""
        if data.scene is not None:
            return f"needs a small collection of images: {data.name} is a scene, see geodesic"
        if not 2 <= len(data.train) <= FEW:
            return f"needs 2 to {FEW} training images: {data.name} has {len(data.train)}"
        return None

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> KnownPaths:
        """Return the method's paths and the exact geodesics."""
        chosen = random_pairs(len(data.train), min(PAIRS, ctx.pairs), PAIR_SEED)
        x0, x1 = data.train.images[chosen].to(ctx.device)
        times = torch.linspace(0, 1, ctx.frames)
        frames = drawn_paths(method, x0, x1, times, ctx)
        exact = exact_geodesics(x0, x1, times)
        return KnownPaths(x0, x1, frames, times.to(ctx.device), exact=exact)
