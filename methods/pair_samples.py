"""Points of both sides of a measure pair, for methods that learn from a sample."""

from __future__ import annotations

import torch
from torch import Tensor

from otbench.errors import DataError
from otbench.interface import FitContext, MeasurePair


def draw_both(data: MeasurePair, n: int, ctx: FitContext) -> tuple[Tensor, Tensor]:
    """Draw n points of the source and n of the target, float32, shape (n, d) each, on the CPU.

    Raises
    ------
    DataError
        If a side draws another shape than (n, d), or values that are not finite.
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
