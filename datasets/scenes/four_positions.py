"""One disc at four places: barycentres and geodesics are known."""

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
    """A disc at four places: corners of a square, and all 6 pairs of them.

    After Feng & Strohmer, figure 5. The barycentre of translated copies is the copy at the mean
    place, and the geodesic of two is the movement along a straight line; both are drawn with exact
    coverage and so keep the mass.
    """

    side: int = scene_side()
    radius: float = parameter(0.12, "as a part of the side, from 0.05 to 0.2", low=0.05, high=0.2)

    title: ClassVar[str] = "One disc at four places (exact barycentres and geodesics)"

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
