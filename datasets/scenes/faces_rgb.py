"""Two drawn faces in colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, Scene, parameter
from otbench_datasets.scenes.base import build_scene
from otbench_datasets.scenes.shapes import Canvas, Field, Mask

Colour = tuple[float, float, float]
SIZES = (32, 64, 128, 256)


class Look(NamedTuple):
    """The factors of a face; colours are RGB in [0, 1]."""

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour
    long_hair: bool
    smile: bool


LOOKS = (
    Look(
        skin=(0.98, 0.80, 0.66),
        hair=(0.85, 0.42, 0.12),
        iris=(0.20, 0.52, 0.36),
        shirt=(0.20, 0.45, 0.80),
        long_hair=True,
        smile=True,
    ),
    Look(
        skin=(0.60, 0.40, 0.28),
        hair=(0.20, 0.15, 0.22),
        iris=(0.35, 0.20, 0.10),
        shirt=(0.90, 0.72, 0.18),
        long_hair=False,
        smile=False,
    ),
)


class Painting:
    """Coloured shapes laid over each other on black."""

    def __init__(self, side: int) -> None:
        self.canvas = Canvas(side)
        fine = len(self.canvas.y)
        self.fine: NDArray[np.float64] = np.zeros((fine, fine, 3))
        # Light from the upper left, which shades all shapes.
        self.light: Field = 1.12 - 0.34 * np.hypot(self.canvas.x - 0.36, self.canvas.y - 0.26)

    def fill(self, mask: Mask, colour: Colour, light: float = 1.0, shade: bool = True) -> None:
        """Paint a shape over the picture, with its colour scaled by the factor ``light``."""
        glow = self.light[mask][:, None] if shade else 1.0
        self.fine[mask] = (np.array(colour) * light * glow).clip(0, 1)

    def image(self) -> Tensor:
        """Return the picture, (3, side, side)."""
        return self.canvas.average(self.fine).permute(2, 0, 1).contiguous()


def draw_face(side: int, look: Look) -> Tensor:
    """Draw a head with shoulders on black, shape (3, side, side), float32 in [0, 1]."""
    paint = Painting(side)
    at = paint.canvas
    head = at.ellipse(0.5, 0.49, 0.235, 0.285)
    if look.long_hair:
        mane = [(0.5, 0.10), (0.70, 0.15), (0.81, 0.34), (0.82, 0.58), (0.85, 0.80), (0.70, 0.86)]
        back = at.curve([*mane, (0.5, 0.82), *[(1 - x, y) for x, y in mane[:0:-1]]])
        paint.fill(back, look.hair, 0.72)
    shoulders = at.ellipse(0.5, 1.05, 0.36, 0.235)
    paint.fill(shoulders, look.shirt)
    paint.fill(at.ellipse(0.5, 0.845, 0.115, 0.06), look.skin, 0.8)
    paint.fill(at.box(0.415, 0.68, 0.585, 0.85, 0.03), look.skin, 0.8)
    for ear in (0.265, 0.735):
        paint.fill(at.ellipse(ear, 0.52, 0.042, 0.065), look.skin, 0.86)
    paint.fill(head, look.skin)
    paint.fill(head & ~at.ellipse(0.475, 0.465, 0.235, 0.28), look.skin, 0.88)
    for cheek in (0.365, 0.635):
        paint.fill(
            at.ellipse(cheek, 0.605, 0.05, 0.035), _mixed(look.skin, (0.95, 0.35, 0.35), 0.3)
        )
    _features(paint, look)
    _hair(paint, look, head)
    return paint.image()


def _features(paint: Painting, look: Look) -> None:
    """Draw eyes, brows, nose and mouth."""
    at = paint.canvas
    dark = _mixed(look.hair, (0.05, 0.03, 0.03), 0.45)
    for eye, outward in ((0.405, -1), (0.595, 1)):
        white = at.ellipse(eye, 0.50, 0.056, 0.042 if look.smile else 0.05)
        paint.fill(white, (0.98, 0.98, 0.98), shade=False)
        paint.fill(white & at.disc(eye, 0.503, 0.036), look.iris, shade=False)
        paint.fill(at.disc(eye, 0.503, 0.019), (0.04, 0.03, 0.03), shade=False)
        paint.fill(at.disc(eye - 0.012, 0.49, 0.010), (1.0, 1.0, 1.0), shade=False)
        lift = 0.0 if look.smile else -0.022
        brow = [
            (eye - 0.062 * outward, 0.428 + lift),
            (eye, 0.408 + lift / 2),
            (eye + 0.062 * outward, 0.428 - lift / 2),
        ]
        paint.fill(at.stroke(brow, 0.022), dark, shade=False)
    nose = [(0.503, 0.52), (0.522, 0.578), (0.492, 0.592)]
    paint.fill(at.stroke(nose, 0.014), look.skin, 0.76)
    lip = _mixed(look.skin, (0.75, 0.12, 0.18), 0.65)
    if look.smile:
        mouth = at.ellipse(0.5, 0.635, 0.088, 0.085) & ~at.ellipse(0.5, 0.560, 0.14, 0.10)
        paint.fill(mouth, (0.50, 0.08, 0.10), shade=False)
        paint.fill(mouth & (at.y < 0.683), (0.99, 0.98, 0.96), shade=False)
        paint.fill(mouth & at.ellipse(0.5, 0.718, 0.045, 0.018), (0.90, 0.42, 0.42), shade=False)
        paint.fill(at.stroke([(0.408, 0.636), (0.5, 0.660), (0.592, 0.636)], 0.012), lip)
    else:
        paint.fill(at.ellipse(0.5, 0.672, 0.040, 0.047), lip)
        paint.fill(at.ellipse(0.5, 0.674, 0.024, 0.031), (0.28, 0.04, 0.06), shade=False)


def _hair(paint: Painting, look: Look, head: Mask) -> None:
    """Draw the hair over the forehead."""
    at = paint.canvas
    if look.long_hair:
        cap = at.ellipse(0.5, 0.46, 0.262, 0.325) & (at.y < 0.56)
        face = at.ellipse(0.60, 0.60, 0.205, 0.27, -18) | at.ellipse(0.45, 0.66, 0.21, 0.26)
        fringe = cap & ~face
        paint.fill(fringe, look.hair)
        streak = at.stroke([(0.35, 0.27), (0.45, 0.19), (0.57, 0.17)], 0.020)
        paint.fill(streak & fringe, look.hair, 1.25)
        return
    curls = at.ellipse(0.5, 0.31, 0.235, 0.155) & ~at.ellipse(0.5, 0.53, 0.20, 0.20)
    for angle in np.linspace(188, 352, 9):
        x, y = 0.5 + 0.225 * np.cos(np.radians(angle)), 0.36 + 0.185 * np.sin(np.radians(angle))
        curls |= at.disc(float(x), float(y), 0.062)
    paint.fill(curls, look.hair)
    for x, y in ((0.36, 0.22), (0.45, 0.17), (0.54, 0.19), (0.41, 0.27)):
        paint.fill(at.disc(x, y, 0.020) & curls, look.hair, 1.6)


def _mixed(colour: Colour, other: Colour, part: float) -> Colour:
    """Return the mixture of two colours."""
    red, green, blue = ((1 - part) * a + part * b for a, b in zip(colour, other, strict=True))
    return red, green, blue


@dataclass
class FacesRGB(Dataset):
    """Two drawn faces of different colour, hair and expression, on black.

    They replace the faces of Feng & Strohmer, figure 2c, whose source and licence are not given;
    these are drawn by this module and free to use. The masses of the channels differ.
    """

    size: int = parameter(
        32, "pixels along a side: 32, 64, 128 or 256; the paper has 256", choices=SIZES
    )

    title: ClassVar[str] = "Two drawn faces in colour"

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        images = torch.stack([draw_face(self.size, look) for look in LOOKS])
        return build_scene("faces-rgb", images, Scene(balanced=False))
