"""A maze with two routes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, Scene, parameter
from otbench_datasets.scenes.base import build_scene
from otbench_datasets.scenes.shapes import disc_coverage

# 6x6 cells with walls between them, found by a search over random mazes for two routes from the
# lower left to the upper right that share only their ends and have almost the same length: at 64
# pixels 102.2 and 102.7 from centre to centre.
PLAN = [
    ".......#...",
    ".#.#...#.#.",
    ".#.#.....#.",
    ".#.###.###.",
    ".#...#.#...",
    ".###.###.##",
    "...#...#...",
    ".#.#.#.###.",
    ".#...#...#.",
    ".###.###.#.",
    "...........",
]
RADIUS, CORNER = 3.5 / 64, 4.5 / 64


def draw_walls(side: int) -> Tensor:
    """Return the walls, (side, side) bool, 1/32 of the side thick; there are none on the border."""
    thick = side // 32
    ends = [int(k * (side + thick) / 6 + 0.5) for k in range(7)]
    spans = [s for a, b in pairwise(ends) for s in (b - thick - a, thick)][:-1]
    plan = torch.tensor([[place == "#" for place in row] for row in PLAN])
    times = torch.tensor(spans)
    return plan.repeat_interleave(times, 0).repeat_interleave(times, 1)


@dataclass
class Maze(Dataset):
    """A disc to be moved through a maze, from the lower left to the upper right.

    The maze is redrawn after Feng & Strohmer, figure 3, whose walls were not released. The two
    routes share only their ends; at 64 pixels their lengths differ by 0.5 %, and the optimal plan
    uses both. `otbench.ot.discrete.geodesic_distance.geodesic_cost` gives a lower bound of the
    cost.
    """

    side: int = parameter(
        64,
        "side of the images in pixels, a multiple of 32 from 32 to 256",
        "Feng & Strohmer, 7.1",
        low=32,
        high=256,
        multiple_of=32,
    )
    level: float = parameter(
        1.0,
        "brightness of the discs, in (0, 1]; below 1, frames can have a higher density before "
        "they are clipped",
        above=0,
        high=1,
    )

    title: ClassVar[str] = "A disc through a maze with two routes"

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        centres = torch.tensor([[CORNER, 1 - CORNER], [1 - CORNER, CORNER]])
        images = self.level * disc_coverage(centres, RADIUS, self.side)
        return build_scene("maze", images, Scene(), obstacles=draw_walls(self.side))
