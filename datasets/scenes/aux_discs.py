"""A pair of discs with more of the family to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, Scene, Split, parameter
from otbench_datasets.scenes.base import build_scene, scene_side, translation
from otbench_datasets.scenes.shapes import disc_coverage

GRID = 44  # places along a side
PAIR = ((4, 39), (39, 4))  # column and row on that grid: lower left to upper right
HELD_OUT = 128  # images in the validation and in the test split, each
SEED = 0


@dataclass
class AuxDiscs(Dataset):
    """A disc of one radius at 44x44 places; one distant pair of them is to be interpolated.

    After Feng & Strohmer, section 7.5 and figure 11: 2 images against all 1936. The paper does not
    say where 44 places a side lie on 32 pixels: here they are evenly spaced, from the disc one
    pixel off one border to one pixel off the other. Training is on the pair, first, and on further
    places, drawn once with a fixed seed: a larger split holds the smaller ones. Validation and test
    discs stand at other places, in the middle of four neighbours: no training split holds them.
    """

    train: int = parameter(
        1936,
        "training images, the pair among them, from 2 to 1936",
        "Feng & Strohmer, 7.5",
        low=2,
        high=GRID**2,
    )
    side: int = scene_side()
    radius: float = parameter(0.12, "as a part of the side, from 0.05 to 0.2", low=0.05, high=0.2)

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
