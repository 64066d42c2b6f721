"""A pair of discs, with more discs of the same family for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, Scene, Split, parameter
from otbench_datasets.scenes.base import build_scene, scene_side, translation
from otbench_datasets.scenes.shapes import disc_coverage

GRID = 44  # positions along a side
PAIR = ((4, 39), (39, 4))  # column and row on that grid, from lower left to upper right
HELD_OUT = 128  # images in each of the validation and test splits
SEED = 0


@dataclass
class AuxDiscs(Dataset):
    """A disc of fixed radius at 44x44 positions, one distant pair of which is interpolated.

    The setting is that of Feng & Strohmer, section 7.5 and figure 11, with 2 images versus all
    1936. The paper does not give the positions of 44 discs per side on 32 pixels. Here they are
    evenly spaced, and the outermost discs are one pixel away from the border. The training split
    contains the pair, which comes first, and further positions in an order drawn once with a fixed
    seed, so a larger split contains the smaller ones. Validation and test discs lie midway between
    four neighbouring positions, so no training split contains them.
    """

    train: int = parameter(
        1936,
        "training images including the pair, 2 to 1936",
        "Feng & Strohmer, 7.5",
        low=2,
        high=GRID**2,
    )
    side: int = scene_side()
    radius: float = parameter(
        0.12, "radius of the disc as a fraction of the side, 0.05 to 0.2", low=0.05, high=0.2
    )

    title: ClassVar[str] = "A disc at every place (exact geodesic of one pair)"

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""

        def draw(places: Tensor) -> Tensor:
            return disc_coverage(places, self.radius, self.side)

        margin = self.radius + 1 / self.side
        axis = torch.linspace(margin, 1 - margin, GRID, dtype=torch.float64)
        generator = torch.Generator().manual_seed(SEED)
        pair = [GRID * row + column for column, row in PAIR]
        drawn = torch.randperm(GRID**2, generator=generator)
        others = drawn[~torch.isin(drawn, torch.tensor(pair))]
        order = torch.cat([torch.tensor(pair), others])[: self.train]
        places = torch.cartesian_prod(axis, axis).flip(1)[order]

        middles = (axis[1:] + axis[:-1]) / 2
        between = torch.cartesian_prod(middles, middles)
        unseen = between[torch.randperm(len(between), generator=generator)[: 2 * HELD_OUT]]
        validation, test = (Split(draw(part)) for part in unseen.split(HELD_OUT))

        images = draw(places)
        return build_scene(
            "aux-discs",
            images,
            Scene(geodesic=translation(draw, places[:1], places[1:2])),
            pairs=(images[:1], images[1:2]),
            held_out=(validation, test),
        )
