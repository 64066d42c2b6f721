"""CelebA to Cartoon Set, read from folders of the user."""

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
    """Photographs of faces to cartoon faces, unpaired (Korotin et al. 2022).

    The sides are `CelebA` and `CartoonSet`, which document the contents of the folders. The
    cartoons keep their labels; the photographs have none, so the pair has no modes. Both sides are
    held in memory: without ``limit`` they take 15 GB at 64x64 and 60 GB at 128x128, and with
    ``limit=10000`` 1 GB at 64x64.
    """

    celeba: str = parameter("", "folder with CelebA; required")
    cartoonset: str = parameter("", "folder with Cartoon Set; required")
    size: int = parameter(
        64, "pixels along a side: 32, 64 or 128", "Korotin et al. 2022: 64, 128", choices=SIZES
    )
    limit: int = parameter(
        0,
        "largest number of images on each side, the first of each split in proportion; 0 keeps all",
        low=0,
    )
    attribute: str = parameter(ATTRIBUTE, "attribute whose variants label the cartoons")

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
                f"{self.name}[celeba=PATH,cartoonset=PATH]; the first must contain "
                f"{CelebA.release}, the second {CartoonSet.release}. "
                "shaded-to-cartoon needs no file."
            )
        # Cartoons come first because they are fewer and more likely to fail.
        target = CartoonSet(self.cartoonset, self.size, self.limit, self.attribute).load()
        source = CelebA(self.celeba, self.size, self.limit).load()
        return ImagePair(self.name, variant_name(self, source.variant, "attribute"), source, target)
