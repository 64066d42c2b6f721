"""Shaded faces to be carried to cartoon faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from otbench.interface import Dataset, ImagePair, parameter
from otbench_datasets.cartoon_faces import CartoonFaces
from otbench_datasets.drawn_faces import check_faces
from otbench_datasets.known_map import check_range
from otbench_datasets.shaded_faces import ShadedFaces
from otbench_datasets.splits import variant_name


@dataclass
class ShadedToCartoon(Dataset):
    """Shaded faces to flat cartoon faces, unpaired: a free stand-in for CelebA to Cartoon Set.

    The two sides are those of `otbench_datasets.shaded_faces.ShadedFaces` and
    `otbench_datasets.cartoon_faces.CartoonFaces`, drawn from seeds ``2 seed`` and ``2 seed + 1``:
    the faces of one side are independent of the other's, and of those of any other seed. Labels
    number the 24 modes (hair, mouth, glasses) on both sides alike. Colour should survive where the
    source's face shows its skin (``colour_masks``).
    """

    size: int = parameter(32, "pixels along a side: 16, 32 or 64")
    train: int = parameter(10_000, "training images a side")
    validation: int = parameter(1_000, "validation images a side")
    test: int = parameter(1_000, "test images a side")
    seed: int = parameter(0, "fixes what is drawn")

    title: ClassVar[str] = "Shaded faces to cartoon faces, drawn from exact factors, unpaired"
    name: ClassVar[str] = "shaded-to-cartoon"

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_faces(self.name, self.size, (self.train, self.validation, self.test))
        check_range(self.name, "seed", self.seed, 0, 2**30 - 1)

    def load(self) -> ImagePair:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        common: dict[str, Any] = {
            "size": self.size,
            "labels": "mode",
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        source = ShadedFaces(seed=2 * self.seed, **common)
        target = CartoonFaces(seed=2 * self.seed + 1, **common)
        faces = source.faces()
        return ImagePair(
            self.name,
            variant_name(self, str(self.size), "train", "validation", "test", "seed"),
            source.dataset(faces),
            target.load(),
            # A copy, so that the masks of the training images are not kept in memory.
            colour_masks=faces.face[-self.test :].clone(),
        )
