"""The exact plan between two samples, as a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, parameter
from otbench.ot.discrete.pot import import_pot
from otbench_methods.sampled_maps.base import AT_ONCE, SampledMap, draw_both


@dataclass
class Discrete(SampledMap):
    """An exact plan between samples, extended to new points by nearest neighbours."""

    sample: int = parameter(
        2048,
        "points of each side, >= 2",
        "the plan takes seconds; the time is cubic in the worst case",
        low=2,
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Exact plan between samples, by nearest neighbours",
        source="Plan by POT's network simplex (Flamary et al. 2021)",
        equations=(
            "P = argmin sum_ij P_ij |x_i - y_j|^2 with equal weights",
            "T(x_i) = sum_j P_ij y_j / sum_j P_ij; T(x) = T(x_i) for the x_i nearest to x; pull "
            "is defined in the same way",
        ),
        deviations=(
            "a plan defines no map beyond its sample; the extension by nearest neighbours, which "
            "is constant around every sampled point, is specific to this suite",
        ),
        relative_cost=0.1,
        reference=True,
    )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Solve for the plan on the CPU and compute its projections in both directions."""
        x, y = draw_both(data, self.sample, ctx)
        pot = import_pot()
        cost = torch.cdist(x.double(), y.double()).square()
        weights = torch.full((self.sample,), 1 / self.sample, dtype=torch.float64).numpy()
        plan = torch.from_numpy(pot.emd(weights, weights, cost.numpy(), numItermax=10_000_000))
        forth, back = plan @ y.double(), plan.T @ x.double()
        self.state_ = {
            "source": x,
            "target": y,
            "source_images": (forth / plan.sum(dim=1, keepdim=True)).float(),
            "target_images": (back / plan.sum(dim=0).unsqueeze(1)).float(),
        }
        ctx.progress(ctx.budget.steps - 1, half_squared_w2=float((plan * cost).sum()) / 2)

    def _extended(self, side: str, points: Tensor) -> Tensor:
        sample, images = (self.state_[name].to(points) for name in (side, f"{side}_images"))
        parts = [images[torch.cdist(part, sample).argmin(dim=1)] for part in points.split(AT_ONCE)]
        return torch.cat(parts)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map source points to the images of their nearest neighbours, (n, d) to (n, d)."""
        return self._extended("source", x)

    def pull(self, y: Tensor) -> Tensor:
        """Map target points back to the images of their nearest neighbours, (n, d) to (n, d)."""
        return self._extended("target", y)
