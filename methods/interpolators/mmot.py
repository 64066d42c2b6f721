"""Exact barycentres of a few small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otbench.errors import UsageError
from otbench.interface import ImageDataset, MethodCard, parameter
from otbench_methods.interpolators.base import (
    Array,
    BarycenterInterpolator,
    mass_threshold,
    most_images,
    too_many,
)

LARGEST = 64 * 64


@dataclass
class MultiMarginalOT(BarycenterInterpolator):
    """Barycentres by the multi-marginal optimal plan of the images' pixels."""

    threshold: float = mass_threshold()
    most_images: int = most_images()
    most_pixels: int = parameter(
        16 * 16,
        "skip scenes that pose barycentres of images with more pixels than this",
        "a barycentre of four images takes seconds at 16x16 and a minute at 32x32",
        low=1,
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Multi-marginal optimal transport",
        source="Agueh & Carlier 2011, proposition 4.2; the linear programme by HiGHS",
        equations=(
            "P = argmin sum P_ijk.. sum_k lambda_k |x_k - b|^2, b = sum_k lambda_k x_k, with the "
            "normalised images as marginals",
            "barycentre = sum P_ijk.. delta(b)",
        ),
        deviations=(
            "exact: the plan's cost is within 1e-6 squared pixels of the optimum over all tuples "
            "of pixels, which column generation certifies without enumerating them; the time "
            "grows with the number of pixels that are not black, and barycentres of photographs "
            "take minutes",
            "the mass of a point between pixels is distributed to its four neighbours; values "
            "above 1 are clipped and the excess mass is lost",
            "channels are averaged separately; mass is normalised for the plan and linear in the "
            "weights; an image without mass or of weight 0 affects only the mass of the average",
            "for two images the plan is computed again for every time",
        ),
        relative_cost=0.5,
        reference=True,
    )

    def skip(self, data: ImageDataset) -> str | None:
        """Return a reason if the images are too large or too many."""
        _, height, width = data.image_shape
        if height * width > LARGEST:
            return f"exact plans between images of {height}x{width} pixels take too long"
        corners = data.scene.corners if data.scene else None
        if corners is not None and height * width > self.most_pixels:
            return (
                f"a barycentre of {len(corners)} images of {height}x{width} pixels takes about a "
                f"minute: choose side=16 or mmot[most_pixels={height * width}]"
            )
        return too_many(data, self.most_images, "mmot")

    def average(self, images: Array, weights: Array) -> Array:
        """Average at most four gray images (m, h, w) by weights (m,)."""
        from otbench.ot.discrete.barycenter import exact, image_barycenter

        if (weights > 0).sum() > 4:
            raise UsageError(f"mmot averages up to four images, got {int((weights > 0).sum())}")
        return image_barycenter(images, weights, exact, self.threshold)
