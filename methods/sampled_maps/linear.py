"""Maps in closed form: the optimal map between Gaussian fits, the identity, and a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, TransportMap
from otbench.ot.gaussian import bures_map, bures_wasserstein
from otbench_methods.sampled_maps.base import SampledMap, draw_both

LEAST_EIGENVALUE = 1e-6
"""Least eigenvalue of the map when it is inverted, as a fraction of the largest."""


@dataclass
class Linear(SampledMap):
    """The optimal map between Gaussian fits of the two distributions."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Closed-form map between Gaussian fits",
        source="Dowson & Landau 1982; Olkin & Pukelsheim 1982; row [L] of Korotin et al. 2021",
        equations=(
            "T(x) = m1 + A (x - m0), A = S0^-1/2 (S0^1/2 S1 S0^1/2)^1/2 S0^-1/2",
            "dual value: f(x) = <x, A x> / 2 + <b, x> with b = m1 - A m0, and its conjugate",
        ),
        deviations=(
            "moments are estimated from a sample; eigenvalues of S0, and those of A when it is "
            "inverted, are at least 1e-6 of the largest",
        ),
        relative_cost=0.01,
        reference=True,
    )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Estimate both means and covariances, in float64."""
        x, y = draw_both(data, self.sample, ctx)
        moments = []
        for points in (x.double(), y.double()):
            covariance = torch.cov(points.T).reshape(data.dimension, data.dimension)
            moments += [points.mean(dim=0).numpy(), covariance.numpy()]
        matrix, offset = (torch.from_numpy(a) for a in bures_map(*moments))
        values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
        values = values.clamp(min=LEAST_EIGENVALUE * float(values[-1]))
        inverse = (vectors / values) @ vectors.T
        self.state_ = {
            "matrix": matrix.float(),
            "inverse": inverse.float(),
            "offset": offset.float(),
        }
        ctx.progress(ctx.budget.steps - 1, half_squared_w2=bures_wasserstein(*moments) / 2)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Push source points forward, (n, d) to (n, d)."""
        return x @ self.state_["matrix"].to(x) + self.state_["offset"].to(x)

    def pull(self, y: Tensor) -> Tensor:
        """Pull target points back, (n, d) to (n, d)."""
        return (y - self.state_["offset"].to(y)) @ self.state_["inverse"].to(y)

    def potential_value(self, x: Tensor) -> Tensor:
        """Evaluate <x, A x> / 2 + <b, x>, (n, d) to (n,)."""
        linear = self.state_["offset"].to(x)
        return (x * (0.5 * x @ self.state_["matrix"].to(x) + linear)).sum(dim=1)

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared distance from the quadratic potential and its conjugate.

        This is E|X|^2 / 2 + E|Y|^2 / 2 - E f(X) - E f*(Y), computed in float64.
        """
        x, y = x.double(), y.double()
        f = self.potential_value(x)
        centred = y - self.state_["offset"].to(y)
        conjugate = 0.5 * (centred * (centred @ self.state_["inverse"].to(y))).sum(dim=1)
        halves = 0.5 * x.square().sum(dim=1).mean() + 0.5 * y.square().sum(dim=1).mean()
        return float(halves - f.mean() - conjugate.mean())


@dataclass
class Identity(TransportMap):
    """The identity map."""

    card: ClassVar[MethodCard] = MethodCard(
        title="No motion",
        source="Row [ID] of Korotin et al. 2021",
        equations=("T(x) = x",),
        relative_cost=0.01,
        reference=True,
    )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Do nothing; this method has nothing to learn."""

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the points unchanged."""
        return x

    def pull(self, y: Tensor) -> Tensor:
        """Return the points unchanged."""
        return y


@dataclass
class Constant(SampledMap):
    """The constant map to the target's mean, whose unexplained variance is 100 percent."""

    card: ClassVar[MethodCard] = MethodCard(
        title="Everything to the target's mean",
        source="Row [C] of Korotin et al. 2021",
        equations=("T(x) = E Y; pull: E X",),
        deviations=("means are estimated from a sample",),
        relative_cost=0.01,
        reference=True,
    )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Estimate both means."""
        x, y = draw_both(data, self.sample, ctx)
        self.state_ = {"source": x.mean(dim=0), "target": y.mean(dim=0)}
        ctx.progress(ctx.budget.steps - 1, variance=float(y.var(dim=0, correction=0).sum()))

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map every point to the target's mean, (n, d) to (n, d)."""
        return self.state_["target"].to(x).expand_as(x).clone()

    def pull(self, y: Tensor) -> Tensor:
        """Map every point to the source's mean, (n, d) to (n, d)."""
        return self.state_["source"].to(y).expand_as(y).clone()
