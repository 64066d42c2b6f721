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
"""Points that the units of a convex potential are normalised over."""

REPORT_EVERY = 100
"""Updates in one compiled run, after which progress is reported and the time limit checked."""

POTENTIALS = ("quadratic", "mlp", "icnn", "conv")
STARTS = ("plain", "bures")
OPTIMISERS = ("muon", "adam")


def fast_widths(dimension: int) -> tuple[int, int, int]:
    """Return the hidden layers that did best in minutes on one core: wider from 5 on."""
    width = 64 if dimension <= 4 else 128
    return width, width, width


@dataclass
class PotentialMap(JaxMap):
    """A map that is the gradient of a trained potential f on the source.

    A method says what its loss is (`_loss`), how the trained networks are read as a map (`_view`),
    and which of its parameters' defaults differ.
    """

    potential: str = parameter(
        "quadratic",
        "form of the potentials: quadratic (|x|^2 / 2 + MLP whose last layer starts at 0), mlp or "
        "icnn (Amos 2023, appendices B.4 and B.3), conv (Amos 2023, release; points are images)",
        "the fast form: no identity to learn first",
        choices=POTENTIALS,
    )
    hidden: tuple[int, ...] = parameter(
        (),
        "units of each hidden layer of a potential; none: for quadratic 64, 64, 64 up to 4 "
        "dimensions and 128s above, for mlp and icnn the paper's 2b, 2b, b with "
        "b = max(n, 32), for conv 128, 128, 256, 512, 1024 channels",
        "best of a few at equal time on one core, n = 4, 16, 64",
        low=1,
    )
    start: str = parameter(
        "plain",
        "plain, or bures: the icnn starts at the closed-form map between the Gaussian fits",
        "the paper's networks; bures after OTT-JAX",
        choices=STARTS,
    )
    batch: int = parameter(
        128,
        "points of each side in one update; 0: the budget's",
        "at equal time better than 256 at n = 16 and 64, and than 1024",
        low=0,
    )
    optimiser: str = parameter(
        "muon",
        "muon (matrices by orthogonalised momentum, vectors by Adam) or adam (AdamW)",
        "at n = 16 muon is in 40 s where adam is in 180 s",
        choices=OPTIMISERS,
    )
    lr: float = parameter(
        0.0,
        "highest learning rate; 0: 0.01 of muon, and of adam 0.005, times 16 / n above 16 "
        "dimensions; for conv 1e-4",
        "muon: 0.005 to 0.02 tried at n = 16 and 64; adam: 0.005 best or near it at n = 4 and 16, "
        "at n = 64 0.0015 is stable, 0.003 is not; conv as in the release",
        low=0,
    )
    final_lr: float = parameter(
        0.01, "rate at the end of the cosine, a share of the highest", low=0, high=1
    )
    warm_up: float = parameter(
        0.01, "share of the updates in which the rate rises from 0, [0, 1)", low=0, below=1
    )
    betas: tuple[float, float] = parameter(
        (0.9, 0.99), "Adam's betas", "better than 0.5, 0.5 at n = 16 in 20 s", low=0, below=1
    )
    weight_decay: float = parameter(
        0.0, "AdamW's; 0 is Adam", "the paper's 1e-4 not needed here", low=0
    )
    ema_decay: float = parameter(
        0.99,
        "decay of the running average of the weights, which is the map; 0: the last weights",
        "at or below the last weights' error in almost all runs",
        low=0,
        below=1,
    )
    pretraining: int = parameter(
        0,
        "updates, at most, that first teach the networks the identity on a cube; they are not "
        "counted in the budget's steps",
        "needed by mlp, icnn and conv in the paper's setting only",
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
        "residual, largest entry, at which the solver of the inverse and of the dual value stops",
        "Amos 2023, solver lbfgs_high_precision of the release",
        above=0,
    )
    iterations: int = parameter(
        100, "steps of that solver, at most", "Amos 2023, solver lbfgs_high_precision", low=1
    )

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if self.start == "bures" and self.potential != "icnn":
            yield f"start=bures is for potential=icnn, got {self.potential}"

    def skip(self, data: MeasurePair) -> str | None:
        """Return why the potential does not suit the pair: conv is for images."""
        if self.potential == "conv" and data.image_shape is None:
            return (
                f"potential=conv is for pairs of flattened images, {data.name} has none; take "
                f"quadratic, mlp or icnn"
            )
        return None

    @abstractmethod
    def _view(self, loss: Any) -> View[Any]:
        """Return how the trained networks are read as a map."""

    @abstractmethod
    def _loss(self, dimension: int, potential: Callable[[], Network]) -> Any:
        """Return the loss, given what makes a potential."""

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
        """Train within the budget; where its seconds run out, what is there by then is the map.

        Batches come from the pair's compiled samplers, else from `POOL` points of each side drawn
        once. Progress counts the budget's steps twice where the networks first learn the identity,
        the first time with its error, ``identity``.

        Raises
        ------
        Diverged
            If a parameter or a part of the loss is no longer finite.
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
        """Yield the parameters as they get better."""
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
        """Return the parameters with every convex potential at its Gaussian start, if so asked."""
        if self.start == "plain":
            return parameters
        from otbench.ot.w2.icnn import GaussianStart, started_at

        start = GaussianStart.of(*(x.numpy() for x in draw_both(data, START_SAMPLE, ctx)))
        made = (started_at(own, start) if "root" in own else own for own in parameters)
        return type(parameters)(*made)

    def _first_points(self, data: MeasurePair, source: Callable[[Any], Any], key: Any) -> Any:
        """Return the sample over which a convex potential normalises its units."""
        import jax

        if not self.pretraining:
            return source(key)
        shape = (NORMALISING_SAMPLE, data.dimension)
        return jax.random.uniform(key, shape, minval=-self.bound, maxval=self.bound)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Carry source points to the target by grad f, (n, d) to (n, d), on their device."""
        return self.map_.push(x)

    def potential_value(self, x: Tensor) -> Tensor:
        """Evaluate f at source points, (n, d) to (n,)."""
        return self.map_.evaluate(x)

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared distance by f and its conjugate, solved for at every y."""
        return self.map_.half_squared_w2(x, y)

    def read(self, arrays: dict[str, np.ndarray], dimension: int) -> Any:
        """Return the map from its saved arrays; see `JaxMap.read`."""
        from otbench.ot.w2.brenier_map import BrenierMap, checked

        _, view = self._build(dimension)
        return BrenierMap(view, checked(arrays, view), self._solver())
