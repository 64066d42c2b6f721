"""Base of the drawn faces: colours, labels, splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, Split, parameter
from otbench_datasets.definitions import drawing_seed
from otbench_datasets.faces.factors import HAIR_STYLES, MODES, Factors
from otbench_datasets.faces.geometry import FACE, Material, coverage
from otbench_datasets.splits import sized_variant, tensor_digest

SIZES = (16, 32, 64)

PART = 256
"""Number of faces drawn together."""


def rgb(code: str) -> tuple[float, float, float]:
    """Convert a colour ``#rrggbb`` to three values in [0, 1]."""
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


BACKGROUNDS = torch.tensor([rgb(c) for c in ("#8ecae6", "#f28482", "#b7e4c7", "#cdb4db")])
SKINS = torch.tensor([rgb(c) for c in ("#ffdfc4", "#f0c08e", "#d39972", "#a56b46", "#6b4028")])
HAIRS = torch.tensor([rgb(c) for c in ("#2b2024", "#6d3f22", "#b5541c", "#f2cf63", "#9aa3ad")])
SHIRTS = torch.tensor([rgb(c) for c in ("#e76f51", "#2a6f97", "#6a4c93", "#2a9d8f")])
"""Colours of the backgrounds."""

FIXED = {
    Material.WHITE: rgb("#ffffff"),
    Material.DARK: rgb("#241c1f"),
    Material.LIPS: rgb("#a3243b"),
    Material.TEETH: rgb("#ffffff"),
    Material.FRAME: rgb("#22223b"),
}


@dataclass(frozen=True)
class Faces:
    """Drawn faces and their factors.

    Attributes
    ----------
    images : Tensor, shape (n, 3, size, size)
        float32 in [0, 1].
    factors : Factors
    skin, hair : Tensor, shape (n, 3)
        Colours of skin and hair before lighting, RGB in [0, 1].
    face : Tensor, shape (n, size, size)
        Fraction of each pixel covered by skin of the face.
    """

    images: Tensor
    factors: Factors
    skin: Tensor
    hair: Tensor
    face: Tensor


Drawer = Callable[[int, int, int], Faces]
"""Draws faces, given their number, the size in pixels and a seed."""


Paint = Callable[[slice, Tensor], Tensor]
"""Maps a range of faces and the material fractions of their pixels to their images."""


def draw(factors: Factors, size: int, skin: Tensor, hair: Tensor, paint: Paint) -> Faces:
    """Draw faces in chunks, because the material fractions take 13 planes per image.

    Parameters
    ----------
    factors : Factors
    size : int
        Pixels along a side.
    skin, hair : Tensor, shape (n, 3)
    paint : callable
        Called in order, with one chunk of faces after another.
    """
    n = len(factors)
    images, masks = torch.empty(n, 3, size, size), torch.empty(n, size, size)
    for start in range(0, n, PART):
        rows = slice(start, min(start + PART, n))
        shares = coverage(factors.part(rows), size)
        masks[rows] = shares[:, list(FACE)].sum(1)
        images[rows] = paint(rows, shares).clamp_(0, 1)
    return Faces(images, factors, skin, hair, masks)


def palette(factors: Factors, skin: Tensor, hair: Tensor) -> Tensor:
    """Return the colours of all materials, (n, 13, 3), given those of skin and hair, (n, 3)."""
    colours = torch.zeros(len(factors), len(Material), 3)
    colours[:, Material.BACKGROUND] = BACKGROUNDS[factors.background]
    colours[:, Material.SHIRT] = SHIRTS[factors.background]
    colours[:, Material.SKIN] = skin
    colours[:, Material.NECK] = 0.86 * skin
    colours[:, Material.NOSE] = 0.8 * skin
    colours[:, Material.BLUSH] = 0.72 * skin + 0.28 * torch.tensor(rgb("#f0566a"))
    colours[:, Material.HAIR] = hair
    colours[:, Material.BROW] = 0.6 * hair
    for material, colour in FIXED.items():
        colours[:, material] = torch.tensor(colour)
    return colours


@dataclass
class FaceImages(Dataset):
    """Base of the data sets of faces drawn from exact factors: sizes, labels, splits."""

    size: int = parameter(32, "pixels along a side: 16, 32 or 64", choices=SIZES)
    labels: str = parameter(
        "hair",
        "label of the images: hair (style, 4 classes) or mode (hair, mouth and glasses, 24 "
        "classes)",
        choices=("hair", "mode"),
    )
    train: int = parameter(10_000, "training images", low=1)
    validation: int = parameter(1_000, "validation images", low=1)
    test: int = parameter(2_000, "test images", low=1)
    seed: int = drawing_seed("seed of the drawing")

    name: ClassVar[str]

    @property
    def trait(self) -> str:
        """The trait that distinguishes modes in addition to hair and mouth; see `Factors.modes`."""
        return "glasses"

    def dataset(self, images: Tensor, factors: Factors, trait: str | None = None) -> ImageDataset:
        """Label the drawn faces and split them into training, validation and test.

        Parameters
        ----------
        images : Tensor, shape (n, 3, size, size)
        factors : Factors
        trait : str, optional
            Trait for the modes, instead of that of the data set.
        """
        sizes = (self.train, self.validation, self.test)
        by_hair = self.labels == "hair"
        labels = factors.hair_style if by_hair else factors.modes(trait or self.trait)
        splits = map(Split, images.split(sizes), labels.split(sizes))
        return ImageDataset(
            self.name,
            sized_variant(self),
            *splits,
            sha256=tensor_digest(images, labels),
            classes=len(HAIR_STYLES) if by_hair else MODES,
        )


@dataclass
class DrawnFaces(FaceImages):
    """Base of the faces drawn by the suite itself."""

    drawer: ClassVar[Drawer]

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        faces = self.faces()
        return self.dataset(faces.images, faces.factors)

    def faces(self) -> Faces:
        """Draw the faces of all splits (training, validation, test)."""
        return type(self).drawer(self.train + self.validation + self.test, self.size, self.seed)
