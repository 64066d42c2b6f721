"""Base of the pairs whose source is shaded faces."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from otbench.interface import Dataset, ImagePair, parameter
from otbench_datasets.faces.base import SIZES, FaceImages
from otbench_datasets.faces.shaded_faces import ShadedFaces
from otbench_datasets.splits import sized_variant


@dataclass
class ShadedPair(Dataset):
    """Shaded faces to other faces with the same factors of variation, unpaired.

    The source is `ShadedFaces` from seed ``2 seed``, the target is
    drawn from ``2 seed + 1``: the faces of one side are independent of the other's, and of those of
    any other seed. Labels number the target's 24 modes on both sides alike. Colour should survive
    where the source's face shows its skin (``colour_masks``).
    """

    size: int = parameter(32, "pixels along a side: 16, 32 or 64", choices=SIZES)
    train: int = parameter(10_000, "training images a side", low=1)
    validation: int = parameter(1_000, "validation images a side", low=1)
    test: int = parameter(1_000, "test images a side", low=1)
    seed: int = parameter(0, "fixes what is drawn", low=0, high=2**30 - 1)

    name: ClassVar[str]

    @abstractmethod
    def target(self, **common: Any) -> FaceImages:
        """Return the target's data set of these sizes and seed, labelled by mode."""

    def load(self) -> ImagePair:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        common: dict[str, Any] = {
            "size": self.size,
            "labels": "mode",
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        target = self.target(seed=2 * self.seed + 1, **common)
        # First, as more can go wrong with it than with the source.
        images = target.load()
        source = ShadedFaces(seed=2 * self.seed, **common)
        faces = source.faces()
        return ImagePair(
            self.name,
            sized_variant(self),
            source.dataset(faces.images, faces.factors, target.trait),
            images,
            # A copy, so that the masks of the training images are not kept in memory.
            colour_masks=faces.face[-self.test :].clone(),
        )
