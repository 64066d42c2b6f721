"""Progressive entropic maps: several entropic steps from source to target instead of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, parameter
from otbench_methods.sampled_maps.entropic import EntropicPlans, projected

Fit = Callable[[Tensor, Tensor], tuple[Tensor, float]]
"""Maps points (m, d) and a sample of the other side (m, d) to the potential of each step on that
sample, (k, m), and to the regularised cost of the first step."""


@dataclass
class ProgOT(EntropicPlans):
    """A sequence of partial entropic steps with decreasing regularisation."""

    epsilon: float = parameter(
        0.01,
        "entropic regularisation at the target, as a fraction of the mean cost, > 0",
        "best of a few values tried here",
        above=0,
    )
    first_epsilon: float = parameter(
        0.05,
        "entropic regularisation at the source, as a fraction of the mean cost, > 0",
        "OTT-JAX's default",
        above=0,
    )
    steps: int = parameter(4, "number of entropic steps, >= 1", "Kassraie et al. 2024", low=1)
    schedule: str = parameter(
        "lin",
        "schedule of the step sizes: lin (constant speed), exp (decelerating) or quad "
        "(accelerating)",
        "OTT-JAX",
        choices=("lin", "exp", "quad"),
    )
    release: bool = parameter(
        False,
        "run OTT-JAX 0.6's ProgOT unchanged; from the third step on it fits to points between the "
        "first sample and the target of the step, while the paper, and OTT-JAX's own map, "
        "continue from the current points",
        "the paper's recursion gives better results",
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Progressive entropic map between samples",
        source="Kassraie, Pooladian, Klein, Thornton, Niles-Weed & Cuturi 2024, Progressive "
        "entropic optimal transport solvers, arXiv 2406.05061; schedules and Sinkhorn by OTT-JAX "
        "0.6",
        equations=(
            "x_0 = x, x_k+1 = (1 - a_k) x_k + a_k T_k(x_k), and T = T_K at the last step; T_k is "
            "the entropic map with regularisation eps_k from the moved sample to the target sample",
            "eps_k decreases from the first to the last in proportion to the distance covered",
        ),
        deviations=(
            "pull is a second fit with source and target exchanged; there is no dual value",
            "the last epsilon is a parameter; the paper determines it by mapping the target to "
            "itself",
            "if the schedule does not end at 1 (exp), the last entropic step is nevertheless "
            "taken in full, as in OTT-JAX",
        ),
        relative_cost=0.3,
    )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Solve for the steps from source to target and from target to source."""
        x, y, mean_cost = self._drawn(data, ctx)
        pace, epsilons = self._schedules(mean_cost)
        run = (self._released if self.release else self._recursion)(pace, epsilons)
        self.state_ = {}
        for number, (name, start, end) in enumerate((("target", x, y), ("source", y, x))):
            potentials, cost = run(start, end)
            self.state_ |= {name: end, f"{name}_potentials": potentials}
            done = max(ctx.budget.steps * (number + 1) // 2, 1)
            ctx.progress(done - 1, half_squared_w2=cost / 2)
        self.state_ |= {"pace": pace, "epsilons": epsilons}

    def _schedules(self, mean_cost: float) -> tuple[Tensor, Tensor]:
        """Return each step's fraction of the remaining distance, and its epsilon."""
        from otbench.ot.discrete.entropic import import_ott

        import_ott()
        from ott.tools.progot import get_alpha_schedule

        pace = torch.from_numpy(np.array(get_alpha_schedule(self.schedule, num_steps=self.steps)))
        ahead = torch.cat([torch.ones(1), (1 - pace[:-1]).cumprod(dim=0)])
        # The fraction covered before the last step is below 1, so `epsilon` is only approached.
        shares = ahead * self.first_epsilon + (1 - ahead) * self.epsilon
        return pace.float(), (shares * mean_cost).float()

    def _recursion(self, pace: Tensor, epsilons: Tensor) -> Fit:
        """Return the paper's recursion, with one Sinkhorn problem per step."""
        solve = self._sinkhorn()

        def run(points: Tensor, sample: Tensor) -> tuple[Tensor, float]:
            potentials, costs = [], []
            for share, epsilon in zip(pace, epsilons, strict=True):
                _, potential, cost = solve(points, sample, float(epsilon))
                points = torch.lerp(points, projected(points, sample, potential, epsilon), share)
                potentials.append(potential)
                costs.append(cost)
            return torch.stack(potentials), costs[0]

        return run

    def _released(self, pace: Tensor, epsilons: Tensor) -> Fit:
        """Return OTT-JAX's own solver."""
        import jax
        import jax.numpy as jnp

        from otbench.ot.discrete.entropic import import_ott

        PointCloud, LinearProblem, _ = import_ott()
        from ott.tools.progot import ProgOT as Released

        solver = Released(jnp.asarray(pace.numpy()), epsilons=jnp.asarray(epsilons.numpy()))

        @jax.jit
        def solve(x: Any, y: Any) -> tuple[Any, Any]:
            found = solver(LinearProblem(PointCloud(x, y)), max_iterations=self.iterations)
            return found.outputs.g, found.get_output(0).reg_ot_cost

        def run(points: Tensor, sample: Tensor) -> tuple[Tensor, float]:
            potentials, cost = solve(jnp.asarray(points.numpy()), jnp.asarray(sample.numpy()))
            return torch.from_numpy(np.array(potentials)), float(cost)

        return run

    def _carried(self, points: Tensor, side: str) -> Tensor:
        """Map points (n, d) to a side by all steps."""
        sample, potentials, pace, epsilons = (
            self.state_[name].to(points)
            for name in (side, f"{side}_potentials", "pace", "epsilons")
        )
        moved = points
        for potential, share, epsilon in zip(potentials, pace, epsilons, strict=True):
            moved = projected(points, sample, potential, epsilon)
            points = torch.lerp(points, moved, share)
        return moved

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map source points to weighted means of the target sample, (n, d) to (n, d)."""
        return self._carried(x, "target")

    def pull(self, y: Tensor) -> Tensor:
        """Map target points to weighted means of the source sample, (n, d) to (n, d)."""
        return self._carried(y, "source")
