"""Interpolation: paths between pairs of held-out images."""

from __future__ import annotations

from typing import ClassVar

import torch

from otbench.interface.artefacts import ComparedImages, Paths
from otbench.interface.data import ImageDataset, Split
from otbench.interface.method import Interpolator, Method
from otbench.interface.scoring import ScoreContext
from otbench.tasks.base import INCEPTION_METRICS, CollectionTask, scored_images
from otbench.tasks.drawing import drawn_paths, missing_interpolation, random_pairs

PAIR_SEED, MIDPOINT_SEED = 2024, 2025
"""Seeds of the protocol for the draws of pairs, so that all methods and seeds share the pairs."""

FAMILY_FRAMES = 16
"""Number of frames of a path if the family of images is known, as in ACAI's protocol for lines."""


class Interpolation(CollectionTask):
    """Draw paths between pairs of test images.

    `ScoreContext.pairs` pairs are sampled from those of the data set or, if it has none, are random
    unordered pairs of the test split. `ScoreContext.midpoints` further random pairs give one frame
    each, at t = 1/2, for distances between sets, which need more images than there are paths. The
    draws have fixed seeds, so all methods and seeds share the pairs.
    """

    name: ClassVar[str] = "interpolation"
    title: ClassVar[str] = "Interpolation between test images"
    order: ClassVar[int] = 20
    default_metrics: ClassVar[tuple[str, ...]] = (
        "energy-gap[ends=data]",
        "path-energy",
        "fid[lenet]",
        "max-step",
        "lpips-smoothness",
        "adjacent-ssim[std]",
        "adjacent-ssim[std,ends=data]",
        "adjacent-ssim[mean,ends=data]",
        "mass-drift",
        "endpoint-error",
        "line-distance[corrected]",
        "line-smoothness[corrected]",
        "line-distance[legacy]",
        "line-smoothness[legacy]",
    )
    full_metrics: ClassVar[tuple[str, ...]] = INCEPTION_METRICS

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Require an interpolator and two test images."""
        if reason := missing_interpolation(method):
            return reason
        if len(data.test) < 2:
            return f"needs two test images: {data.name} has {len(data.test)}"
        return None

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> Paths:
        """Return the paths, and the midpoints together with the test images."""
        if data.pairs is None:
            x0, x1 = data.test.images[random_pairs(len(data.test), ctx.pairs, PAIR_SEED)]
        else:
            chosen = Split(data.pairs[0]).sample_rows(ctx.pairs).sort().values
            x0, x1 = (x[chosen] for x in data.pairs)
        x0, x1 = x0.to(ctx.device), x1.to(ctx.device)
        times = torch.linspace(0, 1, FAMILY_FRAMES if data.family else ctx.frames)
        half = random_pairs(len(data.test), ctx.midpoints, MIDPOINT_SEED)
        m0, m1 = data.test.images[half]
        middle = drawn_paths(method, m0, m1, torch.tensor([0.5]), ctx)
        return Paths(
            x0,
            x1,
            drawn_paths(method, x0, x1, times, ctx),
            times.to(ctx.device),
            ComparedImages(scored_images(data, ctx), middle.squeeze(1), paired=False),
        )
