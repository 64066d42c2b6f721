"""Two digits of MNIST in random colours, as source and target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, ImagePair, Split, parameter
from otbench_datasets.definitions import definition_digest, drawing_seed
from otbench_datasets.images.mnist import read_mnist
from otbench_datasets.splits import variant_name

VERSION = 1
SIZES = (16, 32)

COLOURS = ("red", "yellow", "green", "cyan", "blue", "magenta")
"""Names of the modes, at hues 0, 1/6, ..., 5/6; an image belongs to the nearest one."""


def hue_colours(hues: Tensor) -> Tensor:
    """Return the colours of full saturation and value, RGB in [0, 1], shape (n, 3).

    Parameters
    ----------
    hues : Tensor, shape (n,)
        In [0, 1); 0 is red, 1/3 green, 2/3 blue.
    """
    turned = (6 * hues.unsqueeze(1) + torch.tensor([0.0, 4.0, 2.0])) % 6
    return ((turned - 3).abs() - 1).clamp(0, 1)


def nearest_colour(hues: Tensor) -> Tensor:
    """Return the index of the nearest of `COLOURS` for each hue, int64."""
    return (6 * hues + 0.5).long() % len(COLOURS)


@dataclass
class ColouredDigits(Dataset):
    """One coloured digit of MNIST to another, unpaired: the small task of Korotin's seminar.

    Each image, white on black, is multiplied by a colour of full saturation and value, whose hue is
    uniform and independent of everything else. An optimal map for the squared distance changes the
    shape and keeps the colour. Labels number the six colours (`COLOURS`) on both sides; these are
    the modes. Splits are those of `MNIST` for the two digits. Images have their original 32x32
    pixels, or 16x16 as means of 2x2 pixels. If only 5,000 images of MNIST are available, the
    variant ends in ``-5k``.
    """

    source: int = parameter(
        2, "digit of the source, 0 to 9", "Korotin's seminar on neural OT", low=0, high=9
    )
    target: int = parameter(
        3, "digit of the target, 0 to 9", "Korotin's seminar on neural OT", low=0, high=9
    )
    size: int = parameter(
        16, "pixels along a side: 16 or 32", "Korotin's seminar on neural OT", choices=(16, 32)
    )
    seed: int = drawing_seed("seed of the colours")

    title: ClassVar[str] = "Two digits of MNIST in random colours, unpaired"
    assets: ClassVar[tuple[str, ...]] = ("mnist",)
    name: ClassVar[str] = "coloured-digits"

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if self.source == self.target:
            yield f"source and target must be different digits, got {self.source} for both"

    def load(self) -> ImagePair:
        """Read and colour the images; see `otbench.interface.Dataset.load`."""
        found, splits, digest = read_mnist()
        # One random stream colours both sides, so all colours are independent.
        generator = torch.Generator().manual_seed(self.seed)
        sides = (
            self._side(side, digit, splits, digest, generator)
            for side, digit in (("source", self.source), ("target", self.target))
        )
        variant = variant_name(self, f"{self.source}to{self.target}-{self.size}", "seed")
        return ImagePair(self.name, variant if found == "full" else f"{variant}-{found}", *sides)

    def _side(
        self,
        side: str,
        digit: int,
        splits: tuple[Split, Split, Split],
        digest: str,
        generator: torch.Generator,
    ) -> ImageDataset:
        coloured = [self._coloured(split, digit, generator) for split in splits]
        definition = definition_digest(
            self.name,
            VERSION,
            **{"side": side, "source": self.source, "target": self.target},
            **{"size": self.size, "seed": self.seed, "mnist": digest},
        )
        return ImageDataset(
            self.name, f"{side}-{digit}", *coloured, sha256=definition, classes=len(COLOURS)
        )

    def _coloured(self, split: Split, digit: int, generator: torch.Generator) -> Split:
        assert split.labels is not None
        gray = F.avg_pool2d(split.images[split.labels == digit], 32 // self.size)
        hues = torch.rand(len(gray), generator=generator)
        return Split(gray * hue_colours(hues).view(-1, 3, 1, 1), nearest_colour(hues))
