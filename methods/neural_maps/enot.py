"""Wasserstein-2 maps from expectile-regularised neural optimal transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from otbench.interface import MethodCard, PaperSettings, parameter
from otbench_methods.neural_maps.potential_map import PotentialMap

if TYPE_CHECKING:
    from otbench.ot.w2.brenier_map import View
    from otbench.ot.w2.network import Network


@dataclass
class ENOT(PotentialMap):
    """Two potentials made conjugate by an expectile loss, without solving for conjugates."""

    tau: float = parameter(
        1.0,
        "expectile, in (0, 1]; 1 penalises violated pairs only",
        "the authors' 64-D script",
        above=0,
        high=1,
    )
    weight: float = parameter(
        0.5,
        "lambda, weight of the expectile loss, >= 0",
        "the authors' 64-D script; 2 was not better",
        low=0,
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Wasserstein-2 map by expectile-regularised neural optimal transport",
        source="Buzun, Bobrin & Dylov 2024, Expectile regularization for fast and accurate "
        "training of neural optimal transport, arXiv 2403.03777 (authors' code)",
        equations=(
            "T = grad f(x), cost -<x, y>: L = E[g(T) - <x, T>] (trains f) "
            "+ E[g(y)] - E[g(T) - <x, T>] (trains g)",
            "+ lambda E[l(<x, y> + h(x) - g(y)) + l(<x, y> - g(y) + h(x))], h(x) = g(T) - <x, T>, "
            "l(u) = u^2 times tau where u >= 0 and 1 - tau elsewhere; the first term trains g(y), "
            "the second h",
            "the same loss with f and g exchanged; x and y are paired at random",
            "push = grad f; pull = grad g",
        ),
        deviations=(
            "both directions are trained in every update; the authors' code alternates",
            "smaller networks, batches of 128 instead of 1024, Muon instead of Adam, and averaged "
            "weights, calibrated for minutes on one core; preset paper has the authors' sizes",
            "the last layer of each MLP is initialised with zeros",
            "the dual value uses the conjugate of f, solved for from grad g(y), instead of g, "
            "because g may violate the constraint",
        ),
        paper=PaperSettings(
            {
                "hidden": (512, 512, 512),
                "batch": 0,
                "optimiser": "adam",
                "lr": 5e-4,
                "warm_up": 0.0,
                "ema_decay": 0.0,
            },
            steps=300_001,
            batch_size=1024,
        ),
        relative_cost=1.0,
    )

    def _loss(self, dimension: int, potential: Callable[[], Network]) -> Any:
        from otbench.ot.w2.enot import ExpectileLoss

        return ExpectileLoss(potential(), potential(), self.tau, self.weight)

    def _view(self, loss: Any) -> View[Any]:
        from otbench.ot.w2.brenier_map import pair_view

        return pair_view(loss)

    def pull(self, y: Tensor) -> Tensor:
        """Pull target points back by grad g, (n, d) to (n, d)."""
        return self.map_.predict(y)
