"""The quality of a stochastic map against the solution of the weak problem.

The gamma of the cost is the metric's own if it is given, else the pair's (`MeasurePair.gamma`),
else the one that the method states (`StochasticMap.cost_gamma`); without any the metric is skipped.
The solution is the pair's closed form, or POT's plan between the same held-out points and as many
of the target, which is kept in the cache folder. Finite samples bias the cost of a plan upwards,
and also its conditional variance if the true one is small.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from otbench.home import home
from otbench.interface.artefacts import WeakTransport
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.metrics.maps import bounded
from otbench.ot.discrete.weak import DiscreteAnswer, discrete_answer
from otbench.ot.neural.costs import weak_quadratic
from otbench.ot.w2.scores import uvp

CACHED_FROM = 200
"""Number of points from which a plan takes seconds and is stored."""


class WeakMapMetric(Metric):
    """Base of the metrics of the task ``weak-transport``."""

    tasks: ClassVar[tuple[str, ...]] = ("weak-transport",)


@dataclass(frozen=True)
class AgainstSolution(WeakMapMetric):
    """A comparison with the solution of the weak problem.

    Parameters
    ----------
    gamma : float, optional
        Gamma of the cost. Default: that of the pair, or else that of the method.
    """

    gamma: float | None = parameter(None, "gamma of the weak cost; none: the method's own", low=0)

    @property
    def _suffix(self) -> str:
        return "gamma=own" if self.gamma is None else f"gamma={self.gamma:g}"

    def solution(self, artefact: WeakTransport, ctx: ScoreContext) -> tuple[float, DiscreteAnswer]:
        """Return gamma, and the solution at the artefact's source points.

        Raises
        ------
        Undefined
            If there is no gamma.
        """
        choices = (self.gamma, ctx.data.gamma, artefact.gamma)
        gamma = next((choice for choice in choices if choice is not None), None)
        if gamma is None:
            raise Undefined("neither metric, pair nor method has a gamma: try gamma=1")
        return gamma, ctx.once(f"weak-{gamma:.9g}", lambda: _solved(artefact, gamma, ctx))


def _solved(artefact: WeakTransport, gamma: float, ctx: ScoreContext) -> DiscreteAnswer:
    x, y = (points.double().numpy(force=True) for points in (artefact.source, artefact.target))
    answer = ctx.data.weak_answer(gamma)
    if answer is None:
        return discrete_answer(x, y, gamma, plan_file(x, y, gamma))
    variances = np.full(len(x), answer.conditional_variance)
    return DiscreteAnswer(answer.barycentric(x), variances, answer.cost)


def plan_file(x: np.ndarray, y: np.ndarray, gamma: float) -> Path | None:
    """Return the file for a solution, named by the points and gamma."""
    if len(x) < CACHED_FROM:
        return None
    digest = hashlib.sha256(x.tobytes() + y.tobytes() + np.float64(gamma).tobytes()).hexdigest()
    return home() / "weak-plans" / f"{digest[:32]}.npz"


@dataclass(frozen=True)
class WeakUVP(AgainstSolution):
    r"""Unexplained variance of the barycentric map, in percent of the target's variance.

    .. math:: 100\,E\|\bar T(x) - \bar T^*(x)\|^2 / \mathrm{Var}(Q)

    at 400 held-out points, with the mean of 256 draws for each (whose noise adds the conditional
    variance over 256). The optimal barycentric map is unique; plans are not unique and are not
    compared.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), percent"
    title: ClassVar[str] = "Unexplained variance of the barycentric map"

    @property
    def id(self) -> str:
        """Name with gamma."""
        return f"weak_uvp[{self._suffix}]"

    def compute(self, artefact: WeakTransport, ctx: ScoreContext) -> Value:
        """Compare point by point."""
        if not artefact.variance > 0:
            raise Undefined("the target is a single point: it has no variance")
        _, solution = self.solution(artefact, ctx)
        moved = artefact.barycentric.double().numpy(force=True)
        return bounded(
            Value(uvp(moved, solution.images, artefact.variance), None, len(moved)), self.id
        )


@dataclass(frozen=True)
class WeakCostGap(AgainstSolution):
    """Distance of the map's weak cost from the optimal one, in percent of the latter.

    The cost is the unbiased estimate of C_{2,gamma} from 256 draws. A cost below the optimum also
    counts as a gap, because a map that does not reach the target may have a lower cost.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), percent"
    title: ClassVar[str] = "Gap of the weak cost"

    @property
    def id(self) -> str:
        """Name with gamma."""
        return f"weak_cost_gap[{self._suffix}]"

    def compute(self, artefact: WeakTransport, ctx: ScoreContext) -> Value:
        """Compare the two means."""
        gamma, solution = self.solution(artefact, ctx)
        if not abs(solution.cost) > 1e-9:
            raise Undefined("the optimal cost is 0: there is no gap to relate")
        x, draws = (p.double().numpy(force=True) for p in (artefact.source, artefact.draws))
        costs = weak_quadratic(x, draws, gamma)
        share = 100 / abs(solution.cost)
        stderr = float(share * costs.std(ddof=1) / len(costs) ** 0.5) if len(costs) > 1 else None
        gap = Value(share * abs(float(costs.mean()) - solution.cost), stderr, len(costs))
        return bounded(gap, self.id)
