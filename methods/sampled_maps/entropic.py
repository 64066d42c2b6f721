"""The entropic map: a smooth estimate of the optimal map from two samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, parameter
from otbench_methods.sampled_maps.base import AT_ONCE, SampledMap, draw_both


def scores(points: Tensor, sample: Tensor, potential: Tensor, epsilon: Tensor) -> Tensor:
    """Return (potential - squared distance) / eps for points (n, d) and a sample (m, d), (n, m)."""
    return (potential - torch.cdist(points, sample).square()) / epsilon


def projected(points: Tensor, sample: Tensor, potential: Tensor, epsilon: Tensor) -> Tensor:
    """Map points (n, d) to means of a sample (m, d), weighted by the entropic plan."""
    parts = [
        scores(part, sample, potential, epsilon).softmax(dim=1) @ sample
        for part in points.split(AT_ONCE)
    ]
    return torch.cat(parts)


@dataclass
class EntropicPlans(SampledMap):
    """Base of the maps computed from entropic plans between two samples."""

    sample: int = parameter(
        1024, "points of each side, >= 2", "Sinkhorn takes seconds on one core", low=2
    )
    epsilon: float = parameter(
        0.05,
        "entropic regularisation as a fraction of the mean cost, > 0",
        "OTT-JAX's default",
        above=0,
    )
    iterations: int = parameter(
        2000,
        "largest number of Sinkhorn iterations; they stop at a marginal error of 0.001",
        "OTT-JAX",
        low=1,
    )

    def _drawn(self, data: MeasurePair, ctx: FitContext) -> tuple[Tensor, Tensor, float]:
        """Return a sample of each side, on the CPU, and the mean cost between them."""
        x, y = draw_both(data, self.sample, ctx)
        return x, y, float(torch.cdist(x.double(), y.double()).square().mean())

    def _sinkhorn(self) -> Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor, float]]:
        """Return a compiled solver for both potentials and the regularised cost."""
        import jax
        import jax.numpy as jnp

        from otbench.ot.discrete.entropic import import_ott

        PointCloud, LinearProblem, Sinkhorn = import_ott()
        solver = Sinkhorn(max_iterations=self.iterations)

        @jax.jit
        def solve(x: Any, y: Any, epsilon: Any) -> tuple[Any, Any, Any]:
            found = solver(LinearProblem(PointCloud(x, y, epsilon=epsilon)))
            return found.f, found.g, found.reg_ot_cost

        def solved(x: Tensor, y: Tensor, epsilon: float) -> tuple[Tensor, Tensor, float]:
            f, g, cost = solve(jnp.asarray(x.numpy()), jnp.asarray(y.numpy()), epsilon)
            return torch.from_numpy(np.array(f)), torch.from_numpy(np.array(g)), float(cost)

        return solved


@dataclass
class Entropic(EntropicPlans):
    """The barycentric projection of the entropic plan, which extends to any point."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Entropic map between samples",
        source="Pooladian & Niles-Weed 2021, Entropic estimation of optimal transport maps, "
        "arXiv 2109.12004; Sinkhorn by OTT-JAX 0.6 (Cuturi et al. 2022)",
        equations=(
            "T(x) = sum_j w_j(x) y_j, w_j(x) proportional to exp((g_j - |x - y_j|^2) / eps), with "
            "g Sinkhorn's potential at the sampled y_j; pull uses f in the same way",
            "dual value: (E f(X) + E g(Y)) / 2, f(x) = -eps log sum_j exp((g_j - |x - y_j|^2) / "
            "eps), and g in the same way; OTT-JAX's potentials include the logarithms of the "
            "weights",
        ),
        deviations=(
            "biased by the entropic regularisation: images are drawn towards each other, and the "
            "dual value is that of the regularised problem",
        ),
        relative_cost=0.1,
    )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Run Sinkhorn between two samples."""
        x, y, mean_cost = self._drawn(data, ctx)
        epsilon = self.epsilon * mean_cost
        f, g, cost = self._sinkhorn()(x, y, epsilon)
        self.state_ = {
            "source": x,
            "target": y,
            "source_potential": f,
            "target_potential": g,
            "epsilon": torch.tensor(epsilon),
        }
        ctx.progress(ctx.budget.steps - 1, half_squared_w2=cost / 2)

    def _plan(self, points: Tensor, side: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sample and the potential of a side, and eps, on the device of the points."""
        sample, potential, epsilon = (
            self.state_[name].to(points) for name in (side, f"{side}_potential", "epsilon")
        )
        return sample, potential, epsilon

    def _extended(self, points: Tensor, side: str) -> Tensor:
        """Evaluate the other side's potential at points, from the potential of a side."""
        plan = self._plan(points, side)
        parts = [scores(part, *plan).logsumexp(dim=1) for part in points.split(AT_ONCE)]
        return -plan[-1] * torch.cat(parts)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map source points to weighted means of the target sample, (n, d) to (n, d)."""
        return projected(x, *self._plan(x, "target"))

    def pull(self, y: Tensor) -> Tensor:
        """Map target points to weighted means of the source sample, (n, d) to (n, d)."""
        return projected(y, *self._plan(y, "source"))

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared distance from both potentials, extended to new points."""
        f, g = self._extended(x, "target"), self._extended(y, "source")
        return float(f.double().mean() + g.double().mean()) / 2
