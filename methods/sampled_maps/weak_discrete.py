"""The plan of weak optimal transport between two samples, as a stochastic map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, StochasticMap, parameter
from otbench.ot.discrete.weak import plan_answer, weak_plan
from otbench_methods.sampled_maps.base import AT_ONCE, SampledMap, draw_both

UNGUIDED_SEED = 20_220_113
"""Seed of the draws if no generator is given."""


@dataclass
class WeakDiscrete(SampledMap, StochasticMap):
    """A weak plan between samples, extended to new points by nearest neighbours."""

    sample: int = parameter(
        256, "points of each side, >= 2", "fitting takes 3 s; 512 points take 12 s", low=2
    )
    gamma: float = parameter(
        1.0,
        "gamma of the cost C_{2,gamma}, >= 0; 0 gives the exact linear plan",
        "Korotin et al. 2022",
        low=0,
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Weak plan between samples, by nearest neighbours",
        source="Conditional gradients of POT (Flamary et al. 2021; Gozlan et al. 2017); the "
        "discrete reference of Korotin et al. 2022",
        equations=(
            "P = argmin sum_i |x_i - m_i|^2 / 2 + (1 - gamma) Var_i / 2, with m_i and Var_i the "
            "mean and variance of row i; solved as the 1-weak problem from x / gamma",
            "push draws y_j from the row of the x_i nearest to x; the barycentric map is m_i",
        ),
        deviations=(
            "a plan defines no map beyond its sample; the extension by nearest neighbours is "
            "specific to this suite",
            "POT's limit of 200 iterations ends within a few percent of the optimum",
        ),
        relative_cost=0.3,
        reference=True,
    )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Solve for the plan on the CPU and compute its barycentric projection."""
        x, y = draw_both(data, self.sample, ctx)
        points = x.double().numpy(), y.double().numpy()
        plan = weak_plan(*points, self.gamma)
        answer = plan_answer(plan, *points, self.gamma)
        rows = torch.from_numpy(plan / plan.sum(axis=1, keepdims=True))
        self.state_ = {
            "source": x,
            "target": y,
            "images": torch.from_numpy(answer.images).float(),
            "cumulated": rows.cumsum(dim=1).float(),
        }
        spread = float(answer.variances.mean())
        ctx.progress(ctx.budget.steps - 1, cost=answer.cost, conditional_variance=spread)

    def cost_gamma(self) -> float:
        """Return gamma."""
        return self.gamma

    def _nearest(self, x: Tensor) -> Tensor:
        sample = self.state_["source"].to(x)
        return torch.cat([torch.cdist(part, sample).argmin(dim=1) for part in x.split(AT_ONCE)])

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw images of source points, (n, d) to (n, d); the seed is fixed without a generator."""
        generator = generator or torch.Generator(x.device).manual_seed(UNGUIDED_SEED)
        levels = torch.rand(len(x), 1, generator=generator, device=generator.device).to(x)
        return self._at(self._nearest(x), levels)[:, 0]

    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images of each point, at the same n levels for all rows, (m, d) to (m, n, d)."""
        levels = torch.rand(1, n, generator=generator, device=generator.device).to(x)
        return self._at(self._nearest(x), levels.expand(len(x), n))

    def _at(self, rows: Tensor, levels: Tensor) -> Tensor:
        """Return the target points at levels (n, k) in [0, 1) of the rows' cumulative weights."""
        cumulated, target = (self.state_[name].to(levels) for name in ("cumulated", "target"))
        chosen = torch.searchsorted(cumulated[rows], levels.contiguous(), right=True)
        return target[chosen.clamp(max=len(target) - 1)]

    def barycentric(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Return the exact barycentric projection of the nearest neighbour's row."""
        return self.state_["images"].to(x)[self._nearest(x)]
