"""The factors of variation of the drawn faces."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

LEVELS = {
    "background": 4,
    "skin": 5,
    "hair_style": 4,
    "hair_colour": 5,
    "eyes": 3,
    "mouth": 3,
    "glasses": 2,
}
"""Numbers of levels of the discrete factors; factors are independent, levels equally likely."""

HAIR_STYLES = ("short", "long", "curly", "bun")
EYES = ("open", "dots", "smiling")
MOUTHS = ("smile", "closed", "round")

MODES = LEVELS["hair_style"] * LEVELS["mouth"] * LEVELS["glasses"]
"""Number of modes that `Factors.modes` distinguishes."""

FACE_WIDTHS = (0.205, 0.265)
EYE_SPACINGS = (0.085, 0.118)
"""Ranges of the uniform continuous factors, as fractions of the side: half the width of the face,
and the distance from its centre line to an eye."""


@dataclass(frozen=True)
class Factors:
    """The factors of n faces.

    Attributes
    ----------
    background, skin, hair_style, hair_colour, eyes, mouth, glasses : Tensor, shape (n,), int64
        Levels from 0; `LEVELS` gives their numbers.
    face_width, eye_spacing : Tensor, shape (n,), float32
        See `FACE_WIDTHS` and `EYE_SPACINGS`.
    """

    background: Tensor
    skin: Tensor
    hair_style: Tensor
    hair_colour: Tensor
    eyes: Tensor
    mouth: Tensor
    glasses: Tensor
    face_width: Tensor
    eye_spacing: Tensor

    def __len__(self) -> int:
        return len(self.background)

    def part(self, rows: slice | Tensor) -> Factors:
        """Return the factors of some of the faces."""
        return Factors(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))

    @property
    def smiling(self) -> Tensor:
        """Whether the eyes are closed in a smile, 0 or 1."""
        return (self.eyes == EYES.index("smiling")).long()

    def modes(self, trait: str) -> Tensor:
        """Encode hair style, mouth and a trait as one number from 0 to 23, for counting modes.

        Parameters
        ----------
        trait : {"glasses", "smiling"}
            The trait that is present or absent in a face.
        """
        present: Tensor = getattr(self, trait)
        return (self.hair_style * 3 + self.mouth) * 2 + present


def draw_factors(n: int, generator: torch.Generator) -> Factors:
    """Draw the factors of n faces, each independent of the others."""
    levels = torch.tensor(list(LEVELS.values()))
    ranges = torch.tensor([FACE_WIDTHS, EYE_SPACINGS])
    u = torch.rand(n, len(levels) + len(ranges), generator=generator)
    discrete = (u[:, : len(levels)] * levels).long().unbind(1)
    continuous = ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * u[:, len(levels) :]
    return Factors(*discrete, *continuous.unbind(1))
