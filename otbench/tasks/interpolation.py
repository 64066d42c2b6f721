"""Interpolation: paths between pairs of held-out images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import ImageDataset, Interpolator, Method
from otbench.metrics.base import ScoreContext
from otbench.tasks.base import ImagePairs, Paths, Task, checked_images, scored_images

PAIR_SEED, MIDPOINT_SEED = 2024, 2025
"""Seeds of the draws of pairs: of the protocol, so that all methods and seeds see the same."""

FAMILY_FRAMES = 16
"""Frames of a path where the true family of images is known: ACAI's protocol for its lines."""


def random_pairs(n: int, count: int, seed: int) -> Tensor:
    """Draw different unordered pairs of different items.

    Parameters
    ----------
    n : int
        Items; at least 2.
    count : int
        Pairs wanted; all n (n - 1) / 2 of them where that is fewer.
    seed : int

    Returns
    -------
    Tensor, shape (2, m), int64
        Either item may come first.
    """
    generator = torch.Generator().manual_seed(seed)
    count = min(count, n * (n - 1) // 2)
    chosen: dict[frozenset[int], tuple[int, int]] = {}
    while len(chosen) < count:
        first, second = torch.randint(n, (2,), generator=generator).tolist()
        if first != second:
            chosen.setdefault(frozenset((first, second)), (first, second))
    return torch.tensor(list(chosen.values())).view(-1, 2).T


class Interpolation(Task):
    """Draw paths between pairs of test images.

    The pairs are those of the data set where it brings some (the first `ScoreContext.pairs`), else
    random unordered pairs of the test split. `ScoreContext.midpoints` further random pairs give
    one frame each, at t = 1/2, for distances between sets, which need more images than there are
    paths. All draws have seeds of their own, so every method and seed sees the same pairs.
    """

    name: ClassVar[str] = "interpolation"
    title: ClassVar[str] = "Interpolation between test images"

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Need an interpolator and two test images."""
        if not isinstance(method, Interpolator):
            return f"needs interpolate: {type(method).__name__} draws no paths"
        if len(data.test) < 2:
            return f"needs two test images: {data.name} has {len(data.test)}"
        return None

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> Paths:
        """Return the paths, and the midpoints beside the test images."""
        if data.pairs is None:
            x0, x1 = data.test.images[random_pairs(len(data.test), ctx.pairs, PAIR_SEED)]
        else:
            x0, x1 = (x[: ctx.pairs] for x in data.pairs)
        x0, x1 = x0.to(ctx.device), x1.to(ctx.device)
        times = torch.linspace(0, 1, FAMILY_FRAMES if data.family else ctx.frames)
        half = random_pairs(len(data.test), ctx.midpoints, MIDPOINT_SEED)
        m0, m1 = data.test.images[half]
        middle = self.draw(method, m0, m1, torch.tensor([0.5]), ctx)
        return Paths(
            x0,
            x1,
            self.draw(method, x0, x1, times, ctx),
            times.to(ctx.device),
            ImagePairs(scored_images(data, ctx), middle.squeeze(1), paired=False),
        )

    def draw(
        self, method: Interpolator, x0: Tensor, x1: Tensor, times: Tensor, ctx: ScoreContext
    ) -> Tensor:
        """Interpolate in batches of about `ScoreContext.batch_size` frames, and check them."""
        call = f"{type(method).__name__}.interpolate"
        size = max(1, ctx.batch_size // len(times))
        times = times.to(ctx.device)
        parts = []
        with torch.no_grad():
            for a, b in zip(x0.split(size), x1.split(size), strict=True):
                frames = method.interpolate(a.to(ctx.device), b.to(ctx.device), times)
                shape = (len(a), len(times), *a.shape[1:])
                parts.append(checked_images(frames, shape, call).to(ctx.device))
        return torch.cat(parts)
