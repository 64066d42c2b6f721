"""Base of the maps that are gradients of trained potentials: networks, training, saving."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from otbench.errors import UsageError
from otbench.interface import Diverged, FitContext, MeasurePair, parameter
from otbench_methods.neural_maps.base import (
    START_SAMPLE,
    JaxMap,
    batch_samplers,
)
from otbench_methods.sampled_maps.base import draw_both

if TYPE_CHECKING:
    from otbench.ot.w2.brenier_map import View
    from otbench.ot.w2.conjugate import Solver
    from otbench.ot.w2.network import Network

NORMALISING_SAMPLE = 1024
"""Number of points over which the units of a convex potential are normalised."""

REPORT_EVERY = 100
"""Updates in one compiled run. Progress is reported and the time limit checked after each run."""

POTENTIALS = ("quadratic", "mlp", "icnn", "conv")
STARTS = ("plain", "bures")
OPTIMISERS = ("muon", "adam")


def fast_widths(dimension: int) -> tuple[int, int, int]:
    """Return the hidden layers that performed best within minutes on one core."""
    width = 64 if dimension <= 4 else 128
    return width, width, width


@dataclass
class PotentialMap(JaxMap):
    """A map that is the gradient of a trained potential f on the source.

    Subclasses define the loss (`_loss`) and the view of the trained networks as a map (`_view`),
    and may change the defaults of parameters.
    """

    potential: str = parameter(
        "quadratic",
        "form of the potentials: quadratic (|x|^2 / 2 + MLP whose last layer starts at 0), mlp or "
        "icnn (Amos 2023, appendices B.4 and B.3), conv (Amos 2023, release; points are images)",
        "the fast form, which needs no pretraining to the identity",
        choices=POTENTIALS,
    )
    hidden: tuple[int, ...] = parameter(
        (),
        "units of each hidden layer of a potential; empty: three layers of 64 up to 4 dimensions "
        "and of 128 above (quadratic), the paper's 2b, 2b, b with b = max(n, 32) (mlp and icnn), "
        "or 128, 128, 256, 512, 1024 channels (conv)",
        "best of a few settings at equal time on one core, n = 4, 16, 64",
        low=1,
    )
    start: str = parameter(
        "plain",
        "initial map: plain, or bures (an icnn starts at the closed-form map between Gaussian "
        "fits)",
        "plain as in the paper; bures as in OTT-JAX",
        choices=STARTS,
    )
    batch: int = parameter(
        128,
        "points of each side in one update; 0: the budget's batch size",
        "at equal time better than 1024, and than 256 at n = 16 and 64",
        low=0,
    )
    optimiser: str = parameter(
        "muon",
        "optimiser: muon (orthogonalised momentum for matrices, Adam for vectors) or adam (AdamW)",
        "at n = 16 muon reaches in 40 s what adam reaches in 180 s",
        choices=OPTIMISERS,
    )
    lr: float = parameter(
        0.0,
        "highest learning rate; 0: 0.01 for muon, 0.005 for adam (times 16 / n above 16 "
        "dimensions), 1e-4 for conv",
        "muon: 0.005 to 0.02 tried at n = 16 and 64; adam: 0.005 is best or close to it at n = 4 "
        "and 16, and at n = 64 0.0015 is stable but 0.003 is not; conv as in the release",
        low=0,
    )
    final_lr: float = parameter(
        0.01,
        "learning rate at the end of the cosine schedule, as a fraction of the highest",
        low=0,
        high=1,
    )
    warm_up: float = parameter(
        0.01,
        "fraction of the updates in which the learning rate rises from 0, in [0, 1)",
        low=0,
        below=1,
    )
    betas: tuple[float, float] = parameter(
        (0.9, 0.99), "Adam's betas", "better than (0.5, 0.5) at n = 16 in 20 s", low=0, below=1
    )
    weight_decay: float = parameter(
        0.0, "weight decay of AdamW; 0 gives Adam", "paper: 1e-4, which is not needed here", low=0
    )
    ema_decay: float = parameter(
        0.99,
        "decay of the running average of the weights, which serves as the map; 0: the last weights",
        "its error is at most that of the last weights in almost all runs",
        low=0,
        below=1,
    )
    pretraining: int = parameter(
        0,
        "largest number of updates that first train the networks to the identity on a cube; they "
        "do not count as steps of the budget",
        "needed only by mlp, icnn and conv in the paper's setting",
        low=0,
    )
    pretraining_lr: float = parameter(
        1e-3, "learning rate of those updates, > 0", "Amos 2023, release (1e-4 for images)", above=0
    )
    bound: float = parameter(
        5.0,
        "half the side of that cube, > 0",
        "Amos 2023, release, high-dimensional benchmark (1 for images)",
        above=0,
    )
    tolerance: float = parameter(
        1e-3,
        "residual (largest entry) at which the solver of the inverse map and of the dual value "
        "stops",
        "Amos 2023, solver lbfgs_high_precision of the release",
        above=0,
    )
    iterations: int = parameter(
        100,
        "largest number of iterations of that solver",
        "Amos 2023, solver lbfgs_high_precision",
        low=1,
    )

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if self.start == "bures" and self.potential != "icnn":
            yield f"start=bures is for potential=icnn, got {self.potential}"

    def skip(self, data: MeasurePair) -> str | None:
        """Return a reason if the potential does not suit the pair; conv needs images."""
        if self.potential == "conv" and data.image_shape is None:
            return (
                f"potential=conv needs pairs of flattened images, but {data.name} has none; use "
                f"quadratic, mlp or icnn"
            )
        return None

    @abstractmethod
    def _view(self, loss: Any) -> View[Any]:
        """Return the view of the trained networks as a map."""

    @abstractmethod
    def _loss(self, dimension: int, potential: Callable[[], Network]) -> Any:
        """Return the loss; ``potential`` returns a new potential."""

    def _potential(self, dimension: int) -> Network:
        from otbench.ot.w2 import icnn, mlp

        hidden = self.hidden or None
        if self.potential == "conv":
            from otbench.ot.w2.conv import conv

            assert self.image_shape_ is not None
            return conv(self.image_shape_, hidden, zero_start=not self.pretraining)
        if self.potential == "icnn":
            make = icnn.icnn if self.start == "plain" else icnn.quadratic_icnn
            return make(dimension, hidden)
        if self.potential == "mlp":
            return mlp.mlp(dimension, hidden)
        return mlp.quadratic_mlp(dimension, hidden or fast_widths(dimension))

    def _solver(self) -> Solver:
        from otbench.ot.w2.lbfgs import LBFGS

        return LBFGS(self.tolerance, self.iterations)

    def _build(self, dimension: int) -> tuple[Any, View[Any]]:
        loss = self._loss(dimension, lambda: self._potential(dimension))
        return loss, self._view(loss)

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Train within the budget; if its seconds run out, the current weights are the map.

        Batches come from the pair's compiled samplers or, without these, from `POOL` points of each
        side drawn once. If the networks first learn the identity, progress counts the budget's
        steps twice, the first time with the error ``identity``.

        Raises
        ------
        Diverged
            If a parameter or a part of the loss becomes non-finite.
        UsageError
            If the potential does not suit the pair.
        """
        if (reason := self.skip(data)) is not None:
            raise UsageError(f"{type(self).__name__}: {reason}")
        self.image_shape_ = data.image_shape
        import jax

        from otbench.ot.torch_bridge import SEEDS
        from otbench.ot.w2.brenier_map import BrenierMap

        loss, view = self._build(data.dimension)
        key = jax.random.key(ctx.seed_for("map") % SEEDS)
        init_key, sample_key, *keys = jax.random.split(key, 4)
        batch = self.batch or ctx.budget.batch_size
        samplers = batch_samplers(data, batch, ctx)
        first = self._first_points(data, samplers[0], sample_key)
        parameters = self._started(loss.init(init_key, first), data, ctx)
        self.map_ = BrenierMap(view, parameters, self._solver())
        try:
            for progress in self._training(loss, view, samplers, keys, batch, ctx):
                self.map_.parameters = progress
                if ctx.budget.seconds is not None and ctx.seconds > ctx.budget.seconds:
                    return
        except FloatingPointError as error:
            raise Diverged(str(error)) from error

    def _training(
        self, loss: Any, view: Any, samplers: Any, keys: list[Any], batch: int, ctx: FitContext
    ) -> Iterator[Any]:
        """Yield the parameters after every compiled run."""
        from otbench.ot.training import Schedule
        from otbench.ot.w2.pretraining import pretrain
        from otbench.ot.w2.train import train

        steps = ctx.budget.steps
        parameters = self.map_.parameters
        if self.pretraining:
            for report in pretrain(
                loss,
                view.networks,
                parameters,
                keys[0],
                self.pretraining,
                batch,
                self.bound,
                self.pretraining_lr,
            ):
                parameters = report.parameters
                share = report.done / self.pretraining
                ctx.progress(max(round(steps * share), 1) - 1, **report.parts)
                yield parameters
        schedule = Schedule(
            steps,
            self.lr or self._usual_lr(),
            self.final_lr,
            self.warm_up,
            betas=self.betas,
            weight_decay=self.weight_decay,
            kind=self.optimiser,
            ema_decay=self.ema_decay,
        )
        for report in train(loss, parameters, *samplers, schedule, keys[1], REPORT_EVERY):
            ctx.progress(report.done - 1, **report.parts)
            yield report.averaged
            ctx.checkpoint(report.done, self)

    def _usual_lr(self) -> float:
        if self.potential == "conv":
            return 1e-4
        return 1e-2 if self.optimiser == "muon" else 5e-3 * min(1.0, 16 / self.map_.dimension)

    def _started(self, parameters: Any, data: MeasurePair, ctx: FitContext) -> Any:
        """Return the parameters; with start=bures, convex potentials are at the Gaussian map."""
        if self.start == "plain":
            return parameters
        from otbench.ot.w2.icnn import GaussianStart, started_at

        start = GaussianStart.of(*(x.numpy() for x in draw_both(data, START_SAMPLE, ctx)))
        made = (started_at(own, start) if "root" in own else own for own in parameters)
        return type(parameters)(*made)

    def _first_points(self, data: MeasurePair, source: Callable[[Any], Any], key: Any) -> Any:
        """Return the points over which a convex potential normalises its units."""
        import jax

        if not self.pretraining:
            return source(key)
        shape = (NORMALISING_SAMPLE, data.dimension)
        return jax.random.uniform(key, shape, minval=-self.bound, maxval=self.bound)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Push source points forward by grad f, (n, d) to (n, d), on their device."""
        return self.map_.push(x)

    def potential_value(self, x: Tensor) -> Tensor:
        """Evaluate f at source points, (n, d) to (n,)."""
        return self.map_.evaluate(x)

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared distance from f and its conjugate, solved for at every y."""
        return self.map_.half_squared_w2(x, y)

    def read(self, arrays: dict[str, np.ndarray], dimension: int) -> Any:
        """Rebuild the map from its saved arrays; see `JaxMap.read`."""
        from otbench.ot.w2.brenier_map import BrenierMap, checked

        _, view = self._build(dimension)
        return BrenierMap(view, checked(arrays, view), self._solver())
