"""A shape that changes its form, position and mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from otbench.interface import Dataset, ImageDataset, Scene
from otbench_datasets.scenes.base import build_scene, scene_side
from otbench_datasets.scenes.shapes import Canvas, cross, ring


@dataclass
class ShapeChange(Dataset):
    """A small cross at the upper left, and a large ring of 2.5 times its mass at the lower right.

    The setting is that of Feng & Strohmer, figure 9, which compares balanced and unbalanced
    transport.
    """

    side: int = scene_side()

    title: ClassVar[str] = "A small cross that becomes a large ring"

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        canvas = Canvas(self.side)
        small = cross(canvas, 0.28, 0.28, 0.18)
        large = ring(canvas, 0.62, 0.62, 0.29, 0.1703)
        images = torch.stack([canvas.gray(small), canvas.gray(large)])
        return build_scene("shape-change", images, Scene(balanced=False))
