"""Conditional variance of a stochastic map or a random decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from otbench.interface.artefacts import ComparedImages, WeakTransport
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.metrics.fidelity import drawn, pixel_variance
from otbench.metrics.maps import bounded
from otbench.metrics.weak_maps import AgainstSolution
from otbench.ot.neural.costs import conditional_variance


@dataclass(frozen=True)
class ConditionalVariance(AgainstSolution):
    r"""Mean conditional variance of a map or decoder, :math:`E\,\mathrm{Var}(T(x, \cdot))`.

    For a map, variances are summed over coordinates, and all optimal plans have the same value,
    :math:`E\|Y\|^2 - E\|\bar T^*(X)\|^2`. For a random decoder, the draws are images of one code,
    and variances are averaged over pixels. The metric does not depend on the location of the draws.

    Parameters
    ----------
    of : {"mean", "ratio", "correlation"}
        The mean over items in squared units of the data; its ratio to the solution's (1 is
        optimal); or the correlation of the points' variances with the solution's. The last two are
        for maps only.
    """

    gamma: float | None = parameter(None, "gamma of the weak cost; none: the method's own", low=0)
    of: Literal["mean", "ratio", "correlation"] = "mean"

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction", "weak-transport")
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), of a decoder [0, 1/2]; correlation [-1, 1]"
    title: ClassVar[str] = "Conditional variance"

    @property
    def id(self) -> str:
        """Name with the quantity, and with gamma if it matters."""
        name = "conditional_variance"
        return name if self.of == "mean" else f"{name}[{self.of},{self._suffix}]"

    def compute(self, artefact: ComparedImages | WeakTransport, ctx: ScoreContext) -> Value:
        """Average over items, or compare with the solution."""
        if isinstance(artefact, ComparedImages):
            if self.of != "mean":
                raise Undefined("a decoder has no optimal plan to compare with")
            return Value.of(pixel_variance(drawn(artefact)[1]))
        draws = artefact.draws.double().numpy(force=True)
        n, k = draws.shape[:2]
        own = conditional_variance(draws) if k > 1 else np.zeros(n)
        if self.of == "mean":
            return Value(float(own.mean()), float(own.std() / n**0.5), n)
        _, solution = self.solution(artefact, ctx)
        due = solution.variances
        if self.of == "ratio":
            if not due.mean() > 1e-6 * artefact.variance:
                raise Undefined("the optimal plan is a map: no conditional variance to relate")
            return bounded(Value(float(own.mean() / due.mean()), None, n), self.id)
        if min(own.std(), due.std()) <= 1e-9 * artefact.variance:
            raise Undefined("one of the two is the same at all points: nothing to correlate")
        return Value(float(np.corrcoef(own, due)[0, 1]), None, n)
