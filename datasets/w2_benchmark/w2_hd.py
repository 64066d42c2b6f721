"""The high-dimensional Wasserstein-2 benchmark, built from the released checkpoints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from otbench.errors import DataError
from otbench.interface import Dataset, MeasurePair, parameter
from otbench_datasets.definitions import definition_digest
from otbench_datasets.w2_benchmark.base import KnownMap
from otbench_datasets.w2_benchmark.release import read_release

if TYPE_CHECKING:
    from otbench_datasets.w2_benchmark.benchmark_pairs import Moments

VERSION = 1
DIMENSIONS = (2, 4, 8, 16, 32, 64, 128, 256)
RELEASE = "Wasserstein2Benchmark, benchmarks/Mix3toMix10"


@dataclass
class W2HD(Dataset):
    """A mixture of three Gaussians and its image under a trained map (Korotin et al. 2021).

    The map is the gradient of the mean of two trained potentials. Their checkpoints ``N_v1.pt`` and
    ``N_v2.pt`` are the assets ``w2-hd-2``, ``-4``, ``-16`` and ``-64`` of `otbench data`. The
    digests for other dimensions are unknown; these files are read from ``folder``, or from
    ``w2-hd`` in a folder of the user (OTBENCH_DATA_DIR, or ``manual`` in the cache). Files with a
    known digest must match it.
    """

    dim: int = parameter(
        2, "dimension: a power of two from 2 to 256", "Korotin et al. 2021", choices=DIMENSIONS
    )
    folder: str = parameter("", "folder with N_v1.pt and N_v2.pt; empty: that of the asset")

    title: ClassVar[str] = "The Wasserstein-2 benchmark in 2 to 256 dimensions (your checkpoints)"

    def load(self) -> MeasurePair:
        """Read the checkpoints; see `otbench.interface.Dataset.load`."""
        from otbench_datasets.w2_benchmark.benchmark_pairs import checkpoint_pair

        names = [f"{self.dim}_v{k}.pt" for k in (1, 2)]
        released = self._released()
        moments = frozen_moments(self.dim) if released else None
        pair, digests = read_release(
            "w2-hd",
            f"dim={self.dim}",
            self.folder or str(self._found(names)),
            names,
            "benchmarks/Mix3toMix10",
            lambda folder, check: checkpoint_pair(folder, self.dim, check, moments),
            released,
        )
        digest = definition_digest("w2-hd", VERSION, dim=self.dim, files=digests)
        return KnownMap("w2-hd", digest, pair)

    def _released(self) -> dict[str, str]:
        """Return the digests of the release's files; empty if they are unknown."""
        from otbench.assets.catalogue import CATALOGUE

        asset = CATALOGUE.get(f"w2-hd-{self.dim}")
        return {file.name: file.sha256 for file in asset.files} if asset else {}

    def _found(self, names: list[str]) -> Path:
        """Return the folder of the asset or, if there is no asset, one of the user's folders."""
        from otbench.assets.catalogue import CHECKPOINT_FOLDERS
        from otbench.assets.sources import manual_folders
        from otbench.assets.store import home, require

        hint = (
            f'specify their folder: "w2-hd[dim={self.dim},folder=PATH]". w2-icnn-pair needs none.'
        )
        if self._released():
            try:
                return require(f"w2-hd-{self.dim}")
            except DataError as error:
                raise DataError(f"{error}\nOr {hint}") from error
        own = manual_folders(home())
        places = [base / place for base in own for place in (*CHECKPOINT_FOLDERS, "")]
        for place in places:
            if all((place / name).is_file() for name in names):
                return place
        raise DataError(
            f"w2-hd: the digests of {' and '.join(names)} are unknown, so they cannot be "
            f"downloaded; put the release's ({RELEASE}) into {own[-1] / CHECKPOINT_FOLDERS[0]}, or "
            f"{hint}"
        )


def frozen_moments(dimension: int) -> Moments:
    """Return the stored moments of the release's pair in a dimension with known digests.

    They were computed once by `Moments.measured`, which takes 15 seconds in 16 dimensions, and are
    therefore identical on all machines.
    """
    import jax.numpy as jnp

    from otbench_datasets.w2_benchmark.benchmark_pairs import Moments

    text = (
        resources.files("otbench_datasets.w2_benchmark").joinpath("w2_hd_moments.json").read_text()
    )
    frozen = json.loads(text)[str(dimension)]
    return Moments(jnp.asarray(frozen["mean"], jnp.float32), frozen["scale"])
