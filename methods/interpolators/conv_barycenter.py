"""Entropic barycentres by convolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from otbench.interface import MethodCard, parameter
from otbench_methods.interpolators.base import (
    Array,
    BarycenterInterpolator,
    mass_threshold,
)


@dataclass
class ConvBarycenter(BarycenterInterpolator):
    """Barycentres under the entropic transport cost between all pixels."""

    reg: float = parameter(
        0.004,
        "entropic regularisation, > 0; each side of the image has length 1",
        "POT's example of convolutional barycentres",
        above=0,
    )
    debiased: bool = parameter(
        False,
        "remove the blur of the entropic regularisation (Janati et al. 2020)",
        "Solomon et al. 2015",
    )
    threshold: float = mass_threshold()

    card: ClassVar[MethodCard] = MethodCard(
        title="Convolutional Wasserstein barycentre",
        source="Solomon et al. 2015; debiased: Janati, Cuturi & Gramfort 2020; both by POT",
        equations=(
            "b = argmin sum_k lambda_k W_reg(b, x_k) for normalised images x_k, "
            "W_reg the transport cost plus reg times the entropy",
            "debiased: S_reg(b, x) = W_reg(b, x) - (W_reg(b, b) + W_reg(x, x)) / 2 instead",
        ),
        deviations=(
            "channels are averaged separately; mass is normalised for the barycentre and linear "
            "in the weights; values above 1 are clipped",
            "an image without mass or of weight 0 affects only the mass of the average",
            "the ends of a path are barycentres of a single image, hence blurred unless debiased",
            "reg below 1/400 uses a solver in the log domain, which is slow",
        ),
        relative_cost=4.0,
        reference=True,
    )

    def average(self, images: Array, weights: Array) -> Array:
        """Average gray images (m, h, w) by weights (m,)."""
        from otbench.ot.discrete.barycenter import convolutional, image_barycenter

        solve = partial(convolutional, reg=self.reg, debiased=self.debiased)
        return image_barycenter(images, weights, solve, self.threshold)
