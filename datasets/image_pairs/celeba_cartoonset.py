"""CelebA to Cartoon Set, from the user's folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from otbench.errors import UsageError
from otbench.interface import Dataset, ImagePair, parameter
from otbench_datasets.faces.cartoonset import ATTRIBUTE, CartoonSet
from otbench_datasets.faces.celeba import CelebA
from otbench_datasets.images.user_images import SIZES, too_small
from otbench_datasets.splits import variant_name


@dataclass
class CelebACartoonSet(Dataset):
    """Photographs of faces to cartoons, unpaired (Korotin et al. 2022).

    The sides are `CelebA` and `CartoonSet`,
    which tell what the folders hold. The cartoons keep their labels; the photographs have none, so
    that the pair has no modes of its own. Both sides are in memory, 15 GB at 64x64 without a
    ``limit`` and 60 GB at 128x128; ``limit=10000`` takes 1 GB at 64x64.
    """

    celeba: str = parameter("", "the folder with CelebA; required")
    cartoonset: str = parameter("", "the folder with Cartoon Set; required")
    size: int = parameter(
        64, "pixels along a side: 32, 64 or 128", "Korotin et al. 2022: 64, 128", choices=SIZES
    )
    limit: int = parameter(
        0, "images a side at most, the first of each split in proportion; 0 keeps all", low=0
    )
    attribute: str = parameter(ATTRIBUTE, "the attribute whose variants label the cartoons")

    title: ClassVar[str] = "CelebA to Cartoon Set, unpaired (your folders)"
    name: ClassVar[str] = "celeba-cartoonset"

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        yield from too_small(self.limit)

    def load(self) -> ImagePair:
        """Read both sides; see `otbench.interface.Dataset.load`."""
        if not (self.celeba and self.cartoonset):
            raise UsageError(
                f"{self.name} is not downloaded by otbench: name both folders, as "
                f"{self.name}[celeba=PATH,cartoonset=PATH]; {CelebA.release} go into the one, "
                f"{CartoonSet.release} into the other. shaded-to-cartoon needs no file."
            )
        # Cartoons first: they are fewer, and most can go wrong with them.
        target = CartoonSet(self.cartoonset, self.size, self.limit, self.attribute).load()
        source = CelebA(self.celeba, self.size, self.limit).load()
        return ImagePair(self.name, variant_name(self, source.variant, "attribute"), source, target)
