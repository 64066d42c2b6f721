"""A disc that splits into two discs of unequal size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from otbench.interface import Dataset, ImageDataset, Scene, parameter
from otbench_datasets.scenes.base import build_scene, scene_side
from otbench_datasets.scenes.shapes import disc_coverage

RADIUS = 0.2
LARGE, SMALL = (0.28, 0.72), (0.76, 0.24)


@dataclass
class DiscSplit(Dataset):
    """A central disc, and a small disc at the upper right with a large one at the lower left.

    The setting is that of Feng & Strohmer, figure 2a, whose images are binary. Here the brightness
    of a pixel is the fraction of it that is covered, and the areas agree: r^2 = r_small^2 +
    r_large^2. The geodesic has no closed form, so tasks use the exact plan between the pixels.
    """

    side: int = scene_side()
    share: float = parameter(
        0.3, "fraction of the mass in the small disc, 0.1 to 0.5", low=0.1, high=0.5
    )

    title: ClassVar[str] = "A disc that splits into two discs"

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        one, small, large = (
            disc_coverage(torch.tensor(centre), RADIUS * math.sqrt(part), self.side)
            for centre, part in (((0.5, 0.5), 1.0), (SMALL, self.share), (LARGE, 1 - self.share))
        )
        return build_scene("disc-split", torch.stack([one, small + large]), Scene())
