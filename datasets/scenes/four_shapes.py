"""Four drawn shapes whose barycentres are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from otbench.interface import Dataset, ImageDataset, Scene
from otbench_datasets.scenes.base import build_scene, scene_side
from otbench_datasets.scenes.shapes import Canvas, cross, duck, heart, tooth


@dataclass
class FourShapes(Dataset):
    """Tooth, heart, duck and cross as the corners of a square, with all 6 pairs.

    The shapes are redrawn after Feng & Strohmer, figure 4. Their masses differ and are not
    normalised.
    """

    side: int = scene_side()

    title: ClassVar[str] = "Four shapes to average: tooth, heart, duck, cross"

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        canvas = Canvas(self.side)
        shapes = [canvas.gray(draw(canvas)) for draw in (tooth, heart, duck, cross)]
        images = torch.stack(shapes)
        return build_scene("four-shapes", images, Scene(balanced=False, corners=images))
