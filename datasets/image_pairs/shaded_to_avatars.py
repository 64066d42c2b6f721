"""Shaded faces to be carried to avatars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from otbench.interface import parameter
from otbench_datasets.faces.avatar_styles import STYLES
from otbench_datasets.faces.avatars import DEFAULT_STYLE, Avatars
from otbench_datasets.image_pairs.base import ShadedPair


@dataclass
class ShadedToAvatars(ShadedPair):
    """Shaded faces to DiceBear's avatars, unpaired: a target that an artist drew.

    The sides are those of `otbench_datasets.faces.shaded_faces.ShadedFaces` and
    `Avatars`, which tells of licences and of the minute that the first
    load takes, from seeds ``2 seed`` and ``2 seed + 1``: independent of each other, and of those of
    any other seed. Both are told by the same factors, so that labels number the same 24 kinds of
    faces on either side: hair, mouth, and what the style can show, glasses or (toon-head) eyes
    closed in a smile. At 16x16 the suite's classifier needs 1,500 training images to tell those of
    ``toon-head``. Colour should survive where the source's face shows its skin (``colour_masks``).
    """

    train: int = parameter(5_000, "training images a side", low=1)
    style: str = parameter(
        DEFAULT_STYLE, "of the avatars: toon-head, personas or pixel-art", choices=tuple(STYLES)
    )

    title: ClassVar[str] = "Shaded faces to DiceBear's avatars, unpaired (extra `avatars`)"
    name: ClassVar[str] = "shaded-to-avatars"

    def target(self, **common: Any) -> Avatars:
        """Return the avatars."""
        return Avatars(style=self.style, **common)
