"""Geodesic: paths between the images of a scene, beside the exact ones."""

from __future__ import annotations

from typing import ClassVar

import torch

from otbench.interface.artefacts import KnownPaths
from otbench.interface.data import ImageDataset
from otbench.interface.method import Interpolator
from otbench.interface.scoring import ScoreContext
from otbench.tasks.drawing import (
    EVENNESS_METRICS,
    GEODESIC_METRICS,
    PathTask,
    drawn_paths,
    scene_geodesics,
)


class Geodesic(PathTask):
    """Draw paths between the pairs of a scene without walls, with the exact answer beside them.

    The answer is the scene's own where it gives one, else McCann's geodesic by an exact plan
    between the pixels. The first `ScoreContext.pairs` pairs are drawn, `ScoreContext.frames`
    frames each.
    """

    name: ClassVar[str] = "geodesic"
    title: ClassVar[str] = "Paths of a scene against the exact geodesic"
    order: ClassVar[int] = 60
    default_metrics: ClassVar[tuple[str, ...]] = (
        *GEODESIC_METRICS,
        "mass-leak[open]",
        "mass-leak[periodic]",
        "path-energy",
        *EVENNESS_METRICS,
        "lpips-smoothness",
    )

    def lacks(self, data: ImageDataset) -> str | None:
        """Need a scene with pairs and without walls."""
        if data.scene is None:
            return f"needs a scene: {data.name} is a collection of images"
        if data.pairs is None:
            return f"needs pairs: {data.name} has none"
        if data.obstacles is not None:
            return f"needs free space: {data.name} has walls, see the task obstacles"
        return None

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> KnownPaths:
        """Return the paths with the exact ones."""
        assert data.pairs is not None
        x0, x1 = (x[: ctx.pairs].to(ctx.device) for x in data.pairs)
        times = torch.linspace(0, 1, ctx.frames)
        frames = drawn_paths(method, x0, x1, times, ctx)
        exact = scene_geodesics(data, x0, x1, times)
        return KnownPaths(x0, x1, frames, times.to(ctx.device), exact=exact)
