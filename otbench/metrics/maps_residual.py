"""How well the inverse of a map inverts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from otbench.interface.artefacts import Transport
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.metrics.maps import MapMetric, bounded


@dataclass(frozen=True)
class ConjugateResidual(MapMetric):
    r"""Residual of the convex conjugate's first-order condition, in the units of the data.

    .. math:: r(y) = \|\nabla f(\hat x(y)) - y\|_\infty, \qquad f^*(y) = \max_x \langle x, y\rangle
              - f(x)

    at held-out points y of the target, 4,096 at most; the norm is that of the stopping rule of
    Amos 2023. The gradient is ``push`` and the maximiser is ``pull``, so that it is computed as
    push(pull(y)) - y, and a method needs no further interface. It is reported for methods with a
    dual, because this residual causes the error of the dual value. It is 0 for an exact inverse,
    whether or not the map is good.

    Parameters
    ----------
    over : {"mean", "q90", "max"}
        Mean over the points, their 90 percent quantile, or the largest.
    """

    over: Literal["mean", "q90", "max"] = "mean"

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), units of the data"
    title: ClassVar[str] = "Residual of the conjugate"

    @property
    def id(self) -> str:
        """Name with what is taken over the points."""
        return f"conjugate_residual[{self.over}]"

    def compute(self, artefact: Transport, ctx: ScoreContext) -> Value:
        """Compare the points that were pulled and pushed again with themselves."""
        if artefact.dual is None:
            raise Undefined("needs dual_value: the method has no dual potentials")
        if artefact.returned is None:
            raise Undefined("needs pull: the method has no inverse map")
        if isinstance(artefact.returned, BadOutput):
            raise artefact.returned
        y = artefact.arrivals[: len(artefact.returned)].double()
        residuals = (artefact.returned.double() - y).abs().amax(1)
        if self.over == "mean":
            return bounded(Value.of(residuals), self.id)
        value = residuals.max() if self.over == "max" else residuals.quantile(0.9)
        return bounded(Value(float(value), None, len(residuals)), self.id)
