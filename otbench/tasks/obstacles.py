"""Obstacles: paths around walls."""

from __future__ import annotations

from typing import ClassVar

import torch

from otbench.interface.artefacts import WalledPaths
from otbench.interface.data import ImageDataset
from otbench.interface.method import Interpolator
from otbench.interface.scoring import ScoreContext
from otbench.tasks.drawing import EVENNESS_METRICS, PathTask, drawn_paths


class Obstacles(PathTask):
    """Draw paths between pairs of images with walls, and mask the walls.

    Training losses do not depend on the values on the walls. Frames are therefore shown and scored
    with the walls set to 0, and the mass on the walls is scored separately. The first
    `ScoreContext.pairs` pairs are drawn.
    """

    name: ClassVar[str] = "obstacles"
    title: ClassVar[str] = "Paths around walls"
    order: ClassVar[int] = 70
    default_metrics: ClassVar[tuple[str, ...]] = (
        "wall-mass",
        "energy-over-bound",
        "energy-over-bound[ends=data]",
        "peak-ratio",
        "mass-drift",
        "endpoint-error",
        "path-energy",
        *EVENNESS_METRICS,
    )

    def lacks(self, data: ImageDataset) -> str | None:
        """Require walls and pairs."""
        if data.obstacles is None:
            return f"needs walls: {data.name} has none"
        if data.pairs is None:
            return f"needs pairs: {data.name} has none"
        return None

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> WalledPaths:
        """Return the paths, masked and as drawn."""
        assert data.pairs is not None
        assert data.obstacles is not None
        x0, x1 = (x[: ctx.pairs].to(ctx.device) for x in data.pairs)
        times = torch.linspace(0, 1, ctx.frames)
        walls = data.obstacles.to(ctx.device)
        drawn = drawn_paths(method, x0, x1, times, ctx)
        frames = drawn.masked_fill(walls, 0)
        return WalledPaths(x0, x1, frames, times.to(ctx.device), drawn=drawn, obstacles=walls)
