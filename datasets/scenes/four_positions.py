"""One disc at four positions, with known barycentres and geodesics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, Scene, parameter
from otbench_datasets.scenes.base import build_scene, every_two, scene_side, translation
from otbench_datasets.scenes.shapes import disc_coverage


@dataclass
class FourPositions(Dataset):
    """A disc at the four corners of a square, with all 6 pairs of positions.

    The setting is that of Feng & Strohmer, figure 5. The barycentre of translated copies is the
    copy at the mean position, and the geodesic between two copies is the translation along a
    straight line. Both are drawn with exact pixel coverage and therefore preserve the mass.
    """

    side: int = scene_side()
    radius: float = parameter(
        0.12, "radius of the disc as a fraction of the side, 0.05 to 0.2", low=0.05, high=0.2
    )

    title: ClassVar[str] = "One disc at four positions (exact barycentres and geodesics)"

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""

        def draw(places: Tensor) -> Tensor:
            return disc_coverage(places, self.radius, self.side)

        near, far = 0.25, 0.75
        places = torch.tensor(
            [[near, near], [far, near], [near, far], [far, far]], dtype=torch.float64
        )

        def barycenters(weights: Tensor) -> Tensor:
            return draw(weights.double() @ places.to(weights.device))

        images = draw(places)
        scene = Scene(
            corners=images, geodesic=translation(draw, *every_two(places)), barycenters=barycenters
        )
        return build_scene("four-positions", images, scene)
