"""Reconstruction: encode and decode test images."""

from __future__ import annotations

from typing import ClassVar

from otbench.interface.artefacts import ComparedImages
from otbench.interface.data import ImageDataset
from otbench.interface.method import Autoencoder, Method
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import Task
from otbench.tasks.base import (
    INCEPTION_METRICS,
    decoded,
    decoded_samples,
    missing_codes,
    scored_codes,
    scored_images,
)

SAMPLED, DRAWS = 512, 8
"""Number of test images for which a random decoder draws several samples, and of samples each."""


class Reconstruction(Task):
    """Encode and decode the test images."""

    name: ClassVar[str] = "reconstruction"
    title: ClassVar[str] = "Reconstruction of test images"
    order: ClassVar[int] = 10
    default_metrics: ClassVar[tuple[str, ...]] = (
        "mse",
        "psnr",
        "ssim",
        "lpips",
        "fid[lenet]",
        "laplacian-ratio",
        "variance-ratio",
    )
    full_metrics: ClassVar[tuple[str, ...]] = INCEPTION_METRICS

    def metrics_for(self, data: ImageDataset, full: bool) -> tuple[str, ...]:
        """Return only pixel metrics for a scene, whose few images represent no distribution."""
        return super().metrics_for(data, full) if data.scene is None else ("mse", "psnr")

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Require an autoencoder."""
        return missing_codes(method, data, labels=False)

    def run(self, method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> ComparedImages:
        """Return the test images to score with their reconstructions."""
        real, codes = scored_images(data, ctx), scored_codes(method, data, ctx)
        return ComparedImages(
            real,
            decoded(method, codes, data, ctx),
            samples=decoded_samples(method, codes[:SAMPLED], DRAWS, data, ctx),
            code_dimension=codes.shape[1],
        )
