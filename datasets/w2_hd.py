"""The high-dimensional Wasserstein-2 benchmark, from the checkpoints of its release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otbench.errors import UsageError
from otbench.interface import Dataset, MeasurePair, parameter
from otbench_datasets.known_map import KnownMap, definition_digest
from otbench_datasets.release import read_release

VERSION = 1
DIMENSIONS = (2, 4, 8, 16, 32, 64, 128, 256)

RELEASED = {
    "2_v1.pt": "12fbf72953af1371002cb4a0b67757bd63b335e923fc5f7d4076fbeb81ee72b5",
    "2_v2.pt": "28d161bf7b352d678fb77f512b51266574da06455d3eabf9173695813efc1716",
    "4_v1.pt": "edbe9ff24297c685d070811930f2d17b63f0fd299cba0f792617798211e1bbc2",
    "4_v2.pt": "ec2a061e00be682b5212cfd9801d6d874768bd8b7ba3c2a80e2dc48d5a473425",
    "16_v1.pt": "d50a23710ca3b71a01007cd53c6b578de087c9879e0506866bac9196357e1891",
    "16_v2.pt": "722088932a1a0dbbf9cc1e90a6b9d86df0536f4520caf205b33161c74c0dd574",
    "64_v1.pt": "ea8778313115151315cdc4a60198fea41e18800295559391c97e9a49b5b8f56c",
    "64_v2.pt": "2bbc6d8e5c7f29a6e188e23ea10b811e1b07b1bd0f355cc8916356eed2e7428b",
}
"""sha256 of the release's files, as far as they are known here."""


@dataclass
class W2HD(Dataset):
    """Mixtures of three Gaussians under the mean of two trained potentials (Korotin et al. 2021).

    The checkpoints ``N_v1.pt`` and ``N_v2.pt`` lie in the folder ``benchmarks/Mix3toMix10`` of the
    release, Wasserstein2Benchmark (MIT); they are in no catalogue of `otbench data` yet, so the
    folder has to be named. Files whose digest is known must have it.
    """

    dim: int = parameter(2, "dimension: a power of two from 2 to 256", "Korotin et al. 2021")
    folder: str = parameter("", "the folder with N_v1.pt and N_v2.pt; required")

    title: ClassVar[str] = "The Wasserstein-2 benchmark in 2 to 256 dimensions (your checkpoints)"

    def __post_init__(self) -> None:
        """Check the dimension."""
        if self.dim not in DIMENSIONS:
            raise UsageError(
                f"w2-hd: dim must be a power of two from {DIMENSIONS[0]} to {DIMENSIONS[-1]}, "
                f"got {self.dim}"
            )

    def load(self) -> MeasurePair:
        """Read the checkpoints; see `otbench.interface.Dataset.load`."""
        from otbench.ot.w2.benchmark_pairs import checkpoint_pair

        pair, digests = read_release(
            "w2-hd",
            f"dim={self.dim}",
            self.folder,
            [f"{self.dim}_v{k}.pt" for k in (1, 2)],
            "benchmarks/Mix3toMix10",
            lambda folder, check: checkpoint_pair(folder, self.dim, check),
            RELEASED,
        )
        digest = definition_digest("w2-hd", VERSION, dim=self.dim, files=digests)
        return KnownMap("w2-hd", digest, pair)
