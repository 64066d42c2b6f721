"""Wasserstein-2 maps from the dual problem with amortized convex conjugates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from otbench.interface import MeasurePair, MethodCard, PaperSettings, parameter
from otbench_methods.neural_maps.potential_map import POTENTIALS, PotentialMap, fast_widths

if TYPE_CHECKING:
    from otbench.ot.w2.brenier_map import View
    from otbench.ot.w2.network import Network

AMORTIZATIONS = ("regression", "objective", "cycle", "none")
CONJUGATES = ("lbfgs", "lbfgs-high-precision", "adam", "none")

PAPER = PaperSettings(
    {
        "potential": "mlp",
        "batch": 0,
        "optimiser": "adam",
        "lr": 5e-4,
        "final_lr": 1e-4,
        "warm_up": 0.0,
        "betas": (0.5, 0.5),
        "weight_decay": 1e-4,
        "ema_decay": 0.0,
        "pretraining": 10_001,
        "conjugate_iterations": 100,
    },
    steps=250_001,
    batch_size=1024,
)
"""Settings of the high-dimensional benchmark."""

PAPER_IMAGES = PaperSettings(
    PAPER.parameters
    | {
        "potential": "conv",
        "lr": 1e-4,
        "pretraining_lr": 1e-4,
        "bound": 1.0,
        "cycle_weight": 1e4,
    },
    steps=50_001,
    batch_size=64,
)
"""Settings of the image benchmark."""


@dataclass
class W2Amortized(PotentialMap):
    """A potential trained on the dual, and an amortizer of the conjugate's maximiser."""

    potential: str = parameter(
        "mlp",
        "form of the potential: mlp or icnn (Amos 2023, appendices B.4 and B.3), quadratic "
        "(|x|^2 / 2 + MLP whose last layer starts at 0), conv (Amos 2023, release; for images)",
        "Amos 2023, best rows; quadratic is unbounded below and diverged at n = 64",
        choices=POTENTIALS,
    )
    amortization: str = parameter(
        "regression",
        "loss of the amortizer: regression (the solver's points), objective (the conjugate's "
        "objective), cycle (the first-order condition, W2GN) or none (no amortizer; the solver "
        "starts at y)",
        "Amos 2023, best rows",
        choices=AMORTIZATIONS,
    )
    conjugate: str = parameter(
        "lbfgs",
        "solver that refines the prediction in training: lbfgs or adam (to a residual of 0.1), "
        "lbfgs-high-precision (0.001) or none",
        "Amos 2023, best rows",
        choices=CONJUGATES,
    )
    conjugate_iterations: int = parameter(
        0,
        "largest number of iterations of the solver in training; 0: 10 for L-BFGS, 100 for Adam, "
        "for which this is also the length of the cosine schedule",
        "100 in the release; 10 limit the cost of an update",
        low=0,
    )
    amortizer_hidden: tuple[int, ...] = parameter(
        (),
        "units of each hidden layer of the amortizer; empty: as in the potential by default. With "
        "potential=conv the amortizer is the gradient of a second such network, which starts as a "
        "copy of the potential",
        low=1,
    )
    cycle_weight: float = parameter(
        0.0,
        "weight of the cycle loss; 0: the dimension",
        "Amos 2023, release (1e4 for images)",
        low=0,
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Wasserstein-2 map from the dual problem with amortized conjugates",
        source="Amos 2023, On amortizing convex conjugates for optimal transport, arXiv 2210.12153 "
        "(release: facebookresearch/w2ot)",
        equations=(
            "dual: min over f of E f(X) + E[<x^, Y> - f(x^)], x^ ~ argmin_x f(x) - <x, Y> held "
            "constant, solved from the prediction h(Y)",
            "regression: E (h(Y) - x^)^2, mean over coordinates too",
            "objective: E f(h(Y)) - <h(Y), Y>, f held constant",
            "cycle: n E (grad f(h(Y)) - Y)^2, mean over coordinates too; without a solver also "
            "n E (h(grad f(X)) - X)^2, and both train f (W2GN, Korotin et al. 2019)",
            "push = grad f; pull = grad f*, solved from h, or h itself where conjugate=none",
        ),
        deviations=(
            "the defaults are a fast setting of this suite: training starts at h(y) = y and a "
            "random MLP instead of identities learned in 10,000 updates, with batches of 128, "
            "Muon instead of AdamW, and averaged weights; preset paper has the authors' settings",
            "L-BFGS: converged points leave the batch, and the full step is tried before the "
            "parallel line search, which is repeated with shorter steps if it fails",
            "both networks are pretrained to the identity together, on the same batch",
            "dual value: the conjugate is solved for to a residual of 0.001, whichever solver "
            "trained f",
        ),
        paper=PAPER,
        relative_cost=1.5,
    )

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        yield from super().conflicts()
        if self.conjugate == "none" and self.amortization in ("regression", "none"):
            yield (
                f"amortization={self.amortization} needs a conjugate solver; without one, use "
                f"objective or cycle"
            )
        if self.potential == "conv" and self.amortizer_hidden:
            yield (
                "with potential=conv the amortizer has the potential's layers; set hidden instead "
                "of amortizer_hidden"
            )

    def paper_settings(self, data: MeasurePair) -> PaperSettings:
        """Return the settings of the image benchmark or of the high-dimensional benchmark."""
        return PAPER if data.image_shape is None else PAPER_IMAGES

    def _loss(self, dimension: int, potential: Callable[[], Network]) -> Any:
        from otbench.ot.w2.losses import DualLoss
        from otbench.ot.w2.solvers import SOLVERS

        solver = SOLVERS.get(self.conjugate)
        iterations = self.conjugate_iterations or (100 if self.conjugate == "adam" else 10)
        return DualLoss(
            potential(),
            None if self.amortization == "none" else self._amortizer(dimension, potential),
            self.amortization,
            solver and replace(solver, max_iterations=iterations),
            self.cycle_weight or None,
            shared_start=self.potential == "conv",
        )

    def _amortizer(self, dimension: int, potential: Callable[[], Network]) -> Network:
        if self.potential == "conv":
            from otbench.ot.w2.conv import gradient_map

            return gradient_map(potential())
        from otbench.ot.w2.mlp import residual_map

        fast = fast_widths(dimension) if self.potential == "quadratic" else None
        hidden = self.amortizer_hidden or fast
        return residual_map(dimension, hidden, zero_start=not self.pretraining)

    def _view(self, loss: Any) -> View[Any]:
        from otbench.ot.w2.brenier_map import dual_view

        return dual_view(loss)

    def pull(self, y: Tensor) -> Tensor:
        """Pull target points back by the conjugate's gradient, (n, d) to (n, d)."""
        return self.map_.predict(y) if self.conjugate == "none" else self.map_.solve(y)
