"""Base of the maps computed from samples, and the drawing of the samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otbench.errors import DataError
from otbench.interface import FitContext, MeasurePair, TransportMap, parameter

AT_ONCE = 1024
"""Number of new points whose distances to the sample are in memory at the same time."""


def draw_both(data: MeasurePair, n: int, ctx: FitContext) -> tuple[Tensor, Tensor]:
    """Draw n points from the source and n from the target, each (n, d), float32, on the CPU.

    Raises
    ------
    DataError
        If a side returns a shape other than (n, d), or values that are not finite.
    """
    sides = []
    for name, sampler in (("source", data.source), ("target", data.target)):
        points = sampler(n, ctx.generator(f"{name}-sample"))
        if tuple(points.shape) != (n, data.dimension):
            raise DataError(
                f"the {name} of {data.name} drew points of shape {tuple(points.shape)}, "
                f"wanted ({n}, {data.dimension})"
            )
        if not torch.isfinite(points).all():
            raise DataError(f"the {name} of {data.name} draws values that are not finite")
        sides.append(points.to(torch.float32))
    return sides[0], sides[1]


@dataclass
class SampledMap(TransportMap):
    """A map whose state is a few tensors, computed from one sample of each side.

    Subclasses set ``state_``, a dictionary of float32 tensors.
    """

    sample: int = parameter(
        2**16,
        "points of each side to learn from, >= 2",
        "estimates moments to half a percent",
        low=2,
    )
