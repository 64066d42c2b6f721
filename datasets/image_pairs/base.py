"""Base of the pairs whose source consists of shaded faces."""

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

    The source is `ShadedFaces` with seed ``2 seed``; the target is drawn with seed ``2 seed + 1``.
    The two sides are therefore independent of each other and of all other seeds. Labels number the
    target's 24 modes in the same way on both sides. A map should preserve the colour where the
    source shows skin (``colour_masks``).
    """

    size: int = parameter(32, "pixels along a side: 16, 32 or 64", choices=SIZES)
    train: int = parameter(10_000, "training images on each side", low=1)
    validation: int = parameter(1_000, "validation images on each side", low=1)
    test: int = parameter(1_000, "test images on each side", low=1)
    seed: int = parameter(0, "seed of the drawing", low=0, high=2**30 - 1)

    name: ClassVar[str]

    @abstractmethod
    def target(self, **common: Any) -> FaceImages:
        """Return the target's data set with these sizes and this seed, labelled by mode."""

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
        # The target comes first because it is more likely to fail than the source.
        images = target.load()
        source = ShadedFaces(seed=2 * self.seed, **common)
        faces = source.faces()
        return ImagePair(
            self.name,
            sized_variant(self),
            source.dataset(faces.images, faces.factors, target.trait),
            images,
            # A copy, so that the masks of the training images do not stay in memory.
            colour_masks=faces.face[-self.test :].clone(),
        )
