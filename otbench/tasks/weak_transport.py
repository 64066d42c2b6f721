"""Weak transport: the conditional distributions to which held-out points are mapped.

A deterministic map counts as a stochastic map without conditional variance, so that the two can be
compared.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface.artefacts import WeakTransport
from otbench.interface.data import MeasurePair
from otbench.interface.method import StochasticMap, TransportMap
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.tasks.base import checked_points
from otbench.tasks.transport import PointTask, held_out

POINTS = 400
"""Number of held-out points, limited so that the reference plan takes some ten seconds."""

DRAWS = 256
"""Number of draws for each point."""

DRAW_SEED, MEAN_SEED = 7_160_006, 7_160_007


class WeakTransportation(PointTask):
    """Draw many images of each of a few held-out points."""

    name: ClassVar[str] = "weak-transport"
    title: ClassVar[str] = "Conditional distributions of held-out points"
    order: ClassVar[int] = 100
    default_metrics: ClassVar[tuple[str, ...]] = (
        "weak-uvp",
        "weak-cost-gap",
        "conditional-variance",
        "conditional-variance[of=ratio]",
        "bary-lipschitz",
        "bary-monotonicity",
        "spread-ratio",
        "potential-loss[ewma]",
        "potential-loss[spread]",
    )

    def metrics_for(self, data: MeasurePair, full: bool) -> tuple[str, ...]:
        """Return no metrics in the plane, where weak transport is scored only on request."""
        return super().metrics_for(data, full) if data.dimension != 2 else ()

    def run(self, method: TransportMap, data: MeasurePair, ctx: ScoreContext) -> WeakTransport:
        """Return the points and the method's results for them."""
        points = held_out(data, ctx)
        x, y = points.source[:POINTS], points.target[:POINTS]
        variance = float(points.target.double().var(dim=0, correction=0).sum())
        name = type(method).__name__
        with torch.no_grad():
            if not isinstance(method, StochasticMap):
                moved = checked_points(
                    method.push(x.clone()), len(x), x.shape[1], f"{name}.push"
                ).to(x.device)
                return WeakTransport(x, y, variance, moved.unsqueeze(1), moved, None, None)
            generator = torch.Generator(ctx.device)
            draws = method.conditional(x.clone(), DRAWS, generator.manual_seed(DRAW_SEED))
            wanted = (len(x), DRAWS, x.shape[1])
            if not isinstance(draws, Tensor) or tuple(draws.shape) != wanted:
                raise BadOutput(
                    f"{name}.conditional returned {tuple(getattr(draws, 'shape', ()))}, "
                    f"wanted {wanted}"
                )
            rows = draws.flatten(0, 1)
            checked_points(rows, len(rows), x.shape[1], f"{name}.conditional")
            mean = method.barycentric(x.clone(), DRAWS, generator.manual_seed(MEAN_SEED))
            checked_points(mean, len(x), x.shape[1], f"{name}.barycentric")
        losses = method.potential_losses()
        return WeakTransport(x, y, variance, draws.to(x), mean.to(x), method.cost_gamma(), losses)
