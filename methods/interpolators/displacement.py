"""Exact displacement interpolation, in which mass moves along straight lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from otbench.interface import MethodCard
from otbench.ot.discrete.displacement import displacement_path
from otbench_methods.interpolators.base import (
    UnlearnedInterpolator,
    drawn_colours,
    mass_threshold,
)


@dataclass
class Displacement(UnlearnedInterpolator):
    """McCann's interpolation by an exact plan between the pixels of two images."""

    threshold: float = mass_threshold()

    card: ClassVar[MethodCard] = MethodCard(
        title="Exact displacement interpolation",
        source="McCann 1997; plans by POT's network simplex (Flamary et al. 2021)",
        equations=(
            "P = argmin sum_ij P_ij |a_i - b_j|^2 with the normalised images as marginals",
            "rho_t = ((1 - t) M_0 + t M_1) sum_ij P_ij delta((1 - t) a_i + t b_j)",
        ),
        deviations=(
            "channels are interpolated separately; mass is normalised for the plan and linear in "
            "time",
            "the mass of a point between pixels is distributed bilinearly to its four neighbours, "
            "which blurs by up to half a pixel; pixels above 1 are clipped and the excess mass is "
            "lost",
            "a channel that is empty in one of the two images does not move; it only grows or "
            "fades",
        ),
        relative_cost=0.05,
        reference=True,
    )

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Move the mass of x0 to x1, (n, c, h, w), and return times (k,) as (n, k, c, h, w).

        The plans are computed on the CPU; the frames are returned on the device of ``x0``.
        """
        return drawn_colours(lambda *pair: displacement_path(*pair, self.threshold), x0, x1, t)
