"""Exact displacement interpolation: mass moves along straight lines."""

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
            "each colour by itself; mass is normalised for the plan and grows linearly in time",
            "a point between pixels is shared out among its four neighbours bilinearly, which "
            "blurs by up to half a pixel; where points crowd a pixel above 1 it is clipped to 1 "
            "and the excess mass is lost",
            "a colour that is empty in one of the two images does not move, it only grows or fades",
        ),
        relative_cost=0.05,
        reference=True,
    )

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Move the mass of (n, c, h, w) to (n, c, h, w), seen at times (k,): (n, k, c, h, w).

        The plans are found on the CPU; the frames come back to the device of ``x0``.
        """
        return drawn_colours(lambda *pair: displacement_path(*pair, self.threshold), x0, x1, t)
