"""Shaded faces to avatars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from otbench.interface import parameter
from otbench_datasets.faces.avatar_styles import STYLES
from otbench_datasets.faces.avatars import DEFAULT_STYLE, Avatars
from otbench_datasets.image_pairs.base import ShadedPair


@dataclass
class ShadedToAvatars(ShadedPair):
    """Shaded faces to DiceBear's avatars, a target drawn by artists, unpaired.

    The sides are `otbench_datasets.faces.shaded_faces.ShadedFaces` with seed ``2 seed`` and
    `Avatars` with seed ``2 seed + 1``; see `Avatars` for licences and the duration of the first
    load. The sides are independent of each other and of all other seeds. Both have the same
    factors, so labels number the same 24 modes on both sides: hair, mouth, and glasses or (in
    ``toon-head``) eyes closed in a smile. At 16x16 the suite's classifier needs 1,500 training
    images to distinguish the modes of ``toon-head``. A map should preserve the colour where the
    source shows skin (``colour_masks``).
    """

    train: int = parameter(5_000, "training images on each side", low=1)
    style: str = parameter(
        DEFAULT_STYLE,
        "style of the avatars: toon-head, personas or pixel-art",
        choices=tuple(STYLES),
    )

    title: ClassVar[str] = "Shaded faces to DiceBear's avatars, unpaired (extra `avatars`)"
    name: ClassVar[str] = "shaded-to-avatars"

    def target(self, **common: Any) -> Avatars:
        """Return the data set of avatars."""
        return Avatars(style=self.style, **common)
