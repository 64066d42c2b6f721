"""Displacement interpolation with an entropic plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from otbench.interface import ImageDataset, MethodCard, parameter
from otbench.ot.discrete.displacement import displacement_path
from otbench_methods.interpolators.base import (
    UnlearnedInterpolator,
    drawn_colours,
    mass_threshold,
    most_images,
    too_many,
)


@dataclass
class Sinkhorn(UnlearnedInterpolator):
    """McCann's interpolation with the entropic plan instead of the exact one."""

    epsilon: float = parameter(
        1.0,
        "entropic regularisation, in squared pixels, > 0",
        "blurs by less than a pixel",
        above=0,
    )
    threshold: float = mass_threshold()
    most_images: int = most_images()

    card: ClassVar[MethodCard] = MethodCard(
        title="Displacement interpolation with Sinkhorn's plan",
        source="Cuturi 2013; plans by OTT-JAX 0.6 (Cuturi et al. 2022)",
        equations=(
            "P = argmin sum_ij P_ij |a_i - b_j|^2 + epsilon P_ij (log P_ij - 1), with the "
            "normalised images as marginals",
            "rho_t = ((1 - t) M_0 + t M_1) sum_ij P_ij delta((1 - t) a_i + t b_j)",
        ),
        deviations=(
            "channels, mass, points between pixels, clipping at 1 and empty images are treated as "
            "in displacement",
            "rows of the plan are rescaled to the first marginal, which changes at most 1e-5 of "
            "the mass; entries below 1e-12 are then dropped",
        ),
        relative_cost=0.3,
        reference=True,
    )

    def skip(self, data: ImageDataset) -> str | None:
        """Return a reason if the data set has more than ``most_images`` test images."""
        return too_many(data, self.most_images, "sinkhorn")

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Move the mass of x0 to x1, (n, c, h, w), and return times (k,) as (n, k, c, h, w).

        The plans are computed on the CPU; the frames are returned on the device of ``x0``.
        """
        from otbench.ot.discrete.entropic import entropic_plan

        plan_of = partial(entropic_plan, epsilon=self.epsilon)
        return drawn_colours(
            lambda *pair: displacement_path(*pair, self.threshold, plan_of), x0, x1, t
        )
