"""The pixel average of two images: the baseline that any interpolation must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import MethodCard
from otbench_methods.interpolators.base import UnlearnedInterpolator


@dataclass
class Crossfade(UnlearnedInterpolator):
    """Fade one image out while the other fades in."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Pixel cross-fade",
        source="Baseline",
        equations=("x_t = (1 - t) x_0 + t x_1",),
        relative_cost=0.01,
        reference=True,
    )

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Average the pixels of x0 and x1, (n, c, h, w), at times (k,), to (n, k, c, h, w)."""
        return torch.lerp(x0.unsqueeze(1), x1.unsqueeze(1), t.to(x0).view(1, -1, 1, 1, 1))

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Average the images (m, c, h, w) by each row of weights (k, m)."""
        return torch.einsum("km,mchw->kchw", weights.to(x), x)
