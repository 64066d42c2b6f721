"""Base of the interpolators without training; only their parameters are saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otbench.interface import FitContext, ImageDataset, Interpolator, parameter
from otbench.ot.discrete.displacement import Array, colours_apart


def drawn_colours(
    draw: Callable[[Array, Array, Array], Array], x0: Tensor, x1: Tensor, t: Tensor
) -> Tensor:
    """Interpolate each channel by `colours_apart`; clip to [0, 1], with the dtype of ``x0``."""
    return colours_apart(draw, x0, x1, t).clamp(0, 1).to(x0)


def mass_threshold() -> float:
    """Declare the brightness threshold between background and foreground."""
    level: float = parameter(
        1e-3,
        "pixels with at most this brightness carry no mass",
        "below one 8-bit gray level",
        low=0,
        below=1,
    )
    return level


def most_images() -> int:
    """Declare the largest number of test images for which a slow method runs."""
    number: int = parameter(
        100,
        "skip data sets with more test images than this, because a pair takes long, >= 2",
        "a pair takes about a second, and a data set is scored on more than a thousand pairs",
        low=2,
    )
    return number


def too_many(data: ImageDataset, most: int, method: str) -> str | None:
    """Return why a slow method skips a data set, or None."""
    if len(data.test) <= most:
        return None
    return (
        f"it takes about a second per pair, and {data.name} has {len(data.test):,} test images: "
        f"choose a scene, or {method}[most_images={len(data.test)}]"
    )


@dataclass
class UnlearnedInterpolator(Interpolator):
    """An interpolator that needs nothing but the two images."""

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Do nothing; this method has nothing to learn."""


@dataclass
class BarycenterInterpolator(UnlearnedInterpolator):
    """An interpolator whose path consists of barycentres of the two images."""

    @abstractmethod
    def average(self, images: Array, weights: Array) -> Array:
        """Average gray images (m, h, w), float64, by weights (m,) that sum to 1, to (h, w)."""

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Average x0 and x1, (n, c, h, w), by 1 - t and t, shape (k,), to (n, k, c, h, w).

        The computation runs on the CPU; the frames are returned on the device of ``x0``.
        """

        def path(a: Array, b: Array, times: Array) -> Array:
            images = np.stack([a, b])
            return np.stack([self.average(images, np.array([1 - s, s])) for s in times])

        return drawn_colours(path, x0, x1, t)

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Average the images (m, c, h, w) by each row of weights (k, m), separately per channel."""
        colours = x.detach().double().cpu().transpose(0, 1).numpy()
        rows = weights.detach().double().cpu().numpy()
        found = np.stack([[self.average(images, row) for images in colours] for row in rows])
        return torch.from_numpy(found).clamp(0, 1).to(x)
