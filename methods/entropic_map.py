"""The entropic map: a smooth estimate of the optimal one from two samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.errors import UsageError
from otbench.interface import FitContext, MeasurePair, MethodCard, parameter

from .potential_map import quiet_jax
from .sampled_map import AT_ONCE, SampledMap, draw_both


@dataclass
class Entropic(SampledMap):
    """The barycentric projection of the entropic plan, which extends to any point."""

    sample: int = parameter(
        1024, "points of each side, at least 2", "seconds of Sinkhorn on one core"
    )
    epsilon: float = parameter(
        0.05, "entropy's weight, a share of the mean cost, > 0", "OTT-JAX's default"
    )
    iterations: int = parameter(
        2000, "Sinkhorn iterations at most; it stops at a marginal error of 0.001", "OTT-JAX"
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Entropic map between samples",
        source="Pooladian & Niles-Weed 2021, Entropic estimation of optimal transport maps, "
        "arXiv 2109.12004; Sinkhorn by OTT-JAX 0.6 (Cuturi et al. 2022)",
        equations=(
            "T(x) = sum_j w_j(x) y_j, w_j(x) proportional to exp((g_j - |x - y_j|^2) / eps), "
            "g Sinkhorn's potential at the sampled y_j; pull likewise with f",
            "dual value: (E f(X) + E g(Y)) / 2, f(x) = -eps log sum_j exp((g_j - |x - y_j|^2) / "
            "eps), g likewise; OTT-JAX's potentials have the weights' logarithms in them",
        ),
        deviations=(
            "biased by the entropy: points are drawn towards each other, and the dual value is "
            "that of the regularised problem",
        ),
        relative_cost=0.1,
    )

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if not self.epsilon > 0 or self.iterations < 1:
            raise UsageError(
                f"Entropic: epsilon must be > 0 and iterations >= 1, got {self.epsilon} and "
                f"{self.iterations}"
            )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Run Sinkhorn between two samples."""
        quiet_jax()
        import jax
        import jax.numpy as jnp

        from otbench.ot.entropic import import_ott

        PointCloud, LinearProblem, Sinkhorn = import_ott()
        x, y = draw_both(data, self.sample, ctx)
        mean_cost = torch.cdist(x.double(), y.double()).square().mean()
        epsilon = self.epsilon * float(mean_cost)
        solver = Sinkhorn(max_iterations=self.iterations)

        @jax.jit
        def solve(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            found = solver(LinearProblem(PointCloud(x, y, epsilon=epsilon)))
            return found.f, found.g, found.reg_ot_cost

        f, g, cost = solve(jnp.asarray(x.numpy()), jnp.asarray(y.numpy()))
        self.state_ = {
            "source": x,
            "target": y,
            "source_potential": torch.from_numpy(np.array(f)),
            "target_potential": torch.from_numpy(np.array(g)),
            "epsilon": torch.tensor(epsilon),
        }
        ctx.progress(ctx.budget.steps - 1, half_squared_w2=float(cost) / 2)

    def _scores(self, points: Tensor, side: str) -> Tensor:
        """Return (potential - squared distance) / eps to the sample of a side, (n, sample)."""
        sample, potential, epsilon = (
            self.state_[name].to(points) for name in (side, f"{side}_potential", "epsilon")
        )
        return (potential - torch.cdist(points, sample).square()) / epsilon

    def _projected(self, points: Tensor, side: str) -> Tensor:
        sample = self.state_[side].to(points)
        parts = [self._scores(part, side).softmax(dim=1) @ sample for part in points.split(AT_ONCE)]
        return torch.cat(parts)

    def _extended(self, points: Tensor, side: str) -> Tensor:
        """Return the other side's potential at points, from the potential of a side."""
        parts = [self._scores(part, side).logsumexp(dim=1) for part in points.split(AT_ONCE)]
        epsilon = self.state_["epsilon"].to(points)
        return -epsilon * torch.cat(parts)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Carry source points to means of the sampled target, (n, d) to (n, d)."""
        return self._projected(x, "target")

    def pull(self, y: Tensor) -> Tensor:
        """Carry target points to means of the sampled source, (n, d) to (n, d)."""
        return self._projected(y, "source")

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared distance by both potentials, extended to new points."""
        f, g = self._extended(x, "target"), self._extended(y, "source")
        return float(f.double().mean() + g.double().mean()) / 2
