"""Geodesic: paths between the images of a scene, compared with the exact geodesics."""

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
    """Draw paths between the pairs of a scene without obstacles, for comparison with the geodesics.

    The geodesics are the scene's own solution if it has one, otherwise McCann's geodesics from an
    exact plan between the pixels. The first `ScoreContext.pairs` pairs are drawn, with
    `ScoreContext.frames` frames each.
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
        """Require a scene with pairs and without obstacles."""
        if data.scene is None:
            return f"needs a scene: {data.name} is a collection of images"
        if data.pairs is None:
            return f"needs pairs: {data.name} has none"
        if data.obstacles is not None:
            return f"needs free space: {data.name} has obstacles, see the task obstacles"
        return None

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> KnownPaths:
        """Return the method's paths and the exact geodesics."""
        assert data.pairs is not None
        x0, x1 = (x[: ctx.pairs].to(ctx.device) for x in data.pairs)
        times = torch.linspace(0, 1, ctx.frames)
        frames = drawn_paths(method, x0, x1, times, ctx)
        exact = scene_geodesics(data, x0, x1, times)
        return KnownPaths(x0, x1, frames, times.to(ctx.device), exact=exact)
