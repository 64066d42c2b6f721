"""Clustering: codes of training and test images for K-means."""

from __future__ import annotations

from typing import ClassVar

from otbench.interface.artefacts import LatentCodes
from otbench.interface.data import ImageDataset
from otbench.interface.method import Autoencoder, Method
from otbench.interface.scoring import ScoreContext
from otbench.tasks.base import CollectionTask, latent_codes, missing_codes


class Clustering(CollectionTask):
    """Encode training and test images; the metrics cluster the codes.

    Labels are used only to score the clusters.
    """

    name: ClassVar[str] = "clustering"
    title: ClassVar[str] = "K-means clustering of codes"
    order: ClassVar[int] = 40
    default_metrics: ClassVar[tuple[str, ...]] = (
        "kmeans-acc[whiten,of=mean]",
        "kmeans-nmi[whiten,of=mean]",
        "kmeans-ari[whiten,of=mean]",
        "kmeans-acc[raw,of=mean]",
        "kmeans-nmi[raw,of=mean]",
        "kmeans-ari[raw,of=mean]",
        "kmeans-acc[whiten]",
        "kmeans-nmi[whiten]",
        "kmeans-ari[whiten]",
        "kmeans-acc[raw]",
        "kmeans-nmi[raw]",
        "kmeans-ari[raw]",
    )

    def lacks(self, data: ImageDataset) -> str | None:
        """Require at least as many training images as classes."""
        classes = data.classes or 2
        if len(data.train) >= classes:
            return None
        return f"needs {classes} training images: {data.name} has {len(data.train)}"

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Require an autoencoder and labels."""
        return missing_codes(method, data, labels=True)

    def run(self, method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> LatentCodes:
        """Return the codes."""
        return latent_codes(method, data, ctx)
