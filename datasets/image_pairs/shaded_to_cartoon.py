"""Shaded faces to cartoon faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from otbench_datasets.faces.cartoon_faces import CartoonFaces
from otbench_datasets.image_pairs.base import ShadedPair


@dataclass
class ShadedToCartoon(ShadedPair):
    """Shaded faces to flat cartoon faces, unpaired: a free substitute for CelebA to Cartoon Set.

    The sides are `otbench_datasets.faces.shaded_faces.ShadedFaces` with seed ``2 seed`` and
    `CartoonFaces` with seed ``2 seed + 1``. They are independent of each other and of all other
    seeds. Labels number the 24 modes (hair, mouth, glasses) in the same way on both sides. A map
    should preserve the colour where the source shows skin (``colour_masks``).
    """

    title: ClassVar[str] = "Shaded faces to cartoon faces, drawn from exact factors, unpaired"
    name: ClassVar[str] = "shaded-to-cartoon"

    def target(self, **common: Any) -> CartoonFaces:
        """Return the data set of cartoon faces."""
        return CartoonFaces(**common)
