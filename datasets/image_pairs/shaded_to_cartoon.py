"""Shaded faces to be carried to cartoon faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from otbench_datasets.faces.cartoon_faces import CartoonFaces
from otbench_datasets.image_pairs.base import ShadedPair


@dataclass
class ShadedToCartoon(ShadedPair):
    """Shaded faces to flat cartoon faces, unpaired: a free stand-in for CelebA to Cartoon Set.

    The two sides are those of `otbench_datasets.faces.shaded_faces.ShadedFaces` and
    `CartoonFaces`, drawn from seeds ``2 seed`` and ``2 seed + 1``:
    the faces of one side are independent of the other's, and of those of any other seed. Labels
    number the 24 modes (hair, mouth, glasses) on both sides alike. Colour should survive where the
    source's face shows its skin (``colour_masks``).
    """

    title: ClassVar[str] = "Shaded faces to cartoon faces, drawn from exact factors, unpaired"
    name: ClassVar[str] = "shaded-to-cartoon"

    def target(self, **common: Any) -> CartoonFaces:
        """Return the cartoon faces."""
        return CartoonFaces(**common)
