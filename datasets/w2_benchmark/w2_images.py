"""The image pairs of the Wasserstein-2 benchmark, read from the released checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otbench.interface import Dataset, MeasurePair, parameter
from otbench_datasets.definitions import definition_digest
from otbench_datasets.w2_benchmark.base import KnownMap
from otbench_datasets.w2_benchmark.release import read_release

VERSION = 1
STAGES = ("early", "mid", "late")
RELEASED_SHAPE = (3, 64, 64)

AT_ONCE = 64
"""Number of images that the networks process together (release)."""


@dataclass
class W2Images(Dataset):
    """Generated faces and their images under a trained map (Korotin et al. 2021).

    The source consists of images of a fully trained generator (WGAN-QC on CelebA, 64x64 pixels in
    [-1, 1]) plus noise of standard deviation 0.01. The target is its image under the gradient of
    the mean of two convex potentials. These were trained towards generators from an early, middle
    or late stage of the same training; the pair itself does not need those generators. See
    `image_pairs`.

    The checkpoints ``Final_G.pt`` and, for instance, ``Early_v1.pt`` and ``Early_v2.pt`` are in the
    folder ``benchmarks/CelebA64`` of the release, Wasserstein2Benchmark (MIT). Their digests are
    unknown, so files with the same layout but other contents are not detected. Files of other,
    consistent sizes are accepted as well, and the variant then gives the size. Reader and map have
    been tested only on generated files.
    """

    stage: str = parameter(
        "early",
        "stage of the potentials: early, mid or late",
        "Korotin et al. 2021",
        choices=STAGES,
    )
    folder: str = parameter(
        "", "folder with Final_G.pt and the stage's _v1.pt and _v2.pt; required"
    )

    title: ClassVar[str] = "The Wasserstein-2 benchmark's CelebA pairs (your checkpoints)"

    def load(self) -> MeasurePair:
        """Read the checkpoints; see `otbench.interface.Dataset.load`."""
        from otbench_datasets.w2_benchmark.image_pairs import checkpoint_images, checkpoint_names

        pair, digests = read_release(
            "w2-images",
            f"stage={self.stage}",
            self.folder,
            checkpoint_names(self.stage),
            "benchmarks/CelebA64",
            lambda folder, check: checkpoint_images(folder, self.stage, check),
        )
        digest = definition_digest("w2-images", VERSION, stage=self.stage, files=digests)
        data = KnownMap("w2-images", digest, pair, AT_ONCE)
        data.image_shape = pair.shape
        if pair.shape != RELEASED_SHAPE:
            data.variant = "x".join(str(size) for size in pair.shape)
        return data
