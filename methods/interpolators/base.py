"""Base of the interpolators that learn nothing: only their parameters are saved."""

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
    """Draw each colour by `colours_apart`, clipped to [0, 1], as ``x0``."""
    return colours_apart(draw, x0, x1, t).clamp(0, 1).to(x0)


def mass_threshold() -> float:
    """Declare the parameter that tells foreground from background."""
    level: float = parameter(
        1e-3,
        "pixels at most this bright carry no mass",
        "below one 8-bit gray level",
        low=0,
        below=1,
    )
    return level


def most_images() -> int:
    """Declare the parameter that keeps a slow method off large data sets."""
    number: int = parameter(
        100,
        "skip a data set of more test images than this, whose pairs would take long; at least 2",
        "a pair takes about a second, a data set is scored on over a thousand",
        low=2,
    )
    return number


def too_many(data: ImageDataset, most: int, method: str) -> str | None:
    """Say why a slow method skips a data set, or None."""
    if len(data.test) <= most:
        return None
    return (
        f"it takes about a second a pair, and {data.name} has {len(data.test):,} test images: "
        f"choose a scene, or {method}[most_images={len(data.test)}]"
    )


@dataclass
class UnlearnedInterpolator(Interpolator):
    """An interpolator that only needs the two images."""

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Do nothing: there is nothing to learn."""


@dataclass
class BarycenterInterpolator(UnlearnedInterpolator):
    """An interpolator whose path is made of barycentres of the two images."""

    @abstractmethod
    def average(self, images: Array, weights: Array) -> Array:
        """Average gray images (m, h, w), float64, by weights (m,) that sum to 1: (h, w)."""

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Average (n, c, h, w) and (n, c, h, w) by 1 - t and t, shape (k,): (n, k, c, h, w).

        Runs on the CPU; the frames come back to the device of ``x0``.
        """

        def path(a: Array, b: Array, times: Array) -> Array:
            images = np.stack([a, b])
            return np.stack([self.average(images, np.array([1 - s, s])) for s in times])

        return drawn_colours(path, x0, x1, t)

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Average the images (m, c, h, w) by each row of weights (k, m), each colour by itself."""
        colours = x.detach().double().cpu().transpose(0, 1).numpy()
        rows = weights.detach().double().cpu().numpy()
        found = np.stack([[self.average(images, row) for images in colours] for row in rows])
        return torch.from_numpy(found).clamp(0, 1).to(x)
