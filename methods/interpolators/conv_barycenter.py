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
        "entropic regularisation, positive; each side of the image has length 1",
        "POT's example of convolutional barycentres",
        above=0,
    )
    debiased: bool = parameter(
        False, "take the blur of the entropy away (Janati et al. 2020)", "Solomon et al. 2015"
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
            "each colour by itself; mass is normalised for the barycentre and linear in the "
            "weights; values above 1 are clipped",
            "an image without mass has no shape: it counts in the mass alone; so does one of "
            "weight 0",
            "the ends of a path are barycentres of one image: blurred, unless debiased",
            "reg below 1/400 is solved with logarithms, which is slow",
        ),
        relative_cost=4.0,
        reference=True,
    )

    def average(self, images: Array, weights: Array) -> Array:
        """Average gray images (m, h, w) by weights (m,)."""
        from otbench.ot.discrete.barycenter import convolutional, image_barycenter

        solve = partial(convolutional, reg=self.reg, debiased=self.debiased)
        return image_barycenter(images, weights, solve, self.threshold)
