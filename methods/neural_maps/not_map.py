"""Neural optimal transport: a map, possibly noisy, against an unconstrained potential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface import (
    Diverged,
    FitContext,
    MeasurePair,
    MethodCard,
    PaperSettings,
    parameter,
)
from otbench_methods.neural_maps.base import START_SAMPLE, JaxMap, batch_samplers
from otbench_methods.neural_maps.neural_ot import PAPER, NeuralOT
from otbench_methods.sampled_maps.base import draw_both

if TYPE_CHECKING:
    from otbench.ot.neural.problem import Problem
    from otbench.ot.neural.train import Settings

REPORT_EVERY = 50
"""Steps in one compiled run. Progress is reported and the time limit checked after each run."""

SWEEP = "results/sweeps/not-unet.md"


@dataclass
class NOT(JaxMap, NeuralOT):
    """Neural optimal transport between points, with perceptrons."""

    noise_size: int = parameter(
        0,
        "dimension of z; 0: the dimension of the points; unused by l2 and l1, which have no noise",
        PAPER,
        low=0,
    )
    hidden: tuple[int, ...] = parameter(
        (100, 100, 100), "units in each hidden layer of T and of f", PAPER, low=1, nonempty=True
    )
    residual: bool = parameter(
        True, "T(x) = x + network, initialised near the identity; false: the network alone"
    )
    bound: float = parameter(
        0.0, "b > 0: T = b tanh(T / b), in units of the target's spread; 0: none", low=0
    )
    normalise: bool = parameter(
        True,
        "train in units in which the target has mean 0 and mean variance 1; both distributions "
        "are shifted and scaled alike, which does not change the problem",
    )
    lr: float = parameter(3e-4, "Adam's learning rate for T, > 0", SWEEP, above=0)
    potential_lr: float = parameter(3e-4, "Adam's learning rate for f, > 0", SWEEP, above=0)
    ema_decay: float = parameter(
        0.99,
        "decay per step of the running average of T's weights, which serves as the map; 0: the "
        "last weights",
        SWEEP,
        low=0,
        below=1,
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Neural optimal transport, strong and weak costs",
        source="Korotin, Selikhanovych & Burnaev 2022, Neural optimal transport, arXiv 2201.12220 "
        "(algorithm 1; release, toy notebooks); kernel cost: Korotin et al. 2023, Kernel neural "
        "optimal transport",
        equations=(
            "C_{2,gamma}(x, mu) = |x - m|^2 / 2 + (1 - gamma) Var(mu) / 2, sums over coordinates; "
            "estimated by |x - mean|^2 / 2 + (1 - gamma - 1 / K) s^2 / 2 from K draws",
            "L_T = mean of C(x, T(x, z_1..K)) - mean of f(T(x, z_k)), minimised over T",
            "L_f = mean of f(T(x, z)) - mean of f(y), minimised over f, which has no constraint",
            "a step, in the budget and in all counts, consists of K_T = inner_steps updates of T "
            "with fresh x and z, followed by one update of f",
        ),
        deviations=(
            "costs are sums over coordinates; the notebooks for images use means, so f is d / 2 "
            "times theirs",
            "the defaults add a residual T, averaged weights, two milestones and noise of scale "
            "1; preset paper omits them",
            "no weight decay (the authors use 1e-10)",
            "a run ends as diverged if |L_f| exceeds 1e4; it is marked as collapsed, in its "
            "losses and in the saved state, if the pushed points have less than half the target's "
            "spread",
        ),
        paper=PaperSettings(
            {
                "lr": 1e-4,
                "potential_lr": 1e-4,
                "noise_scale": 0.1,
                "residual": False,
                "normalise": False,
                "milestones": (),
                "ema_decay": 0.0,
            },
            steps=10_001,
            batch_size=64,
        ),
        relative_cost=4.0,
    )

    @property
    def bounded(self) -> bool:
        """Whether the map's output is bounded."""
        return self.bound > 0

    def _problem(self, dimension: int) -> Problem:
        from otbench.ot.neural.networks import map_network, potential
        from otbench.ot.neural.problem import Problem

        noise = (self.noise_size or dimension) if self.noisy else 0
        return Problem(
            map_network(dimension, noise, self.hidden, self.residual, self.bound),
            potential(dimension, self.hidden),
            self.cost,
            self.gamma if self.noisy else 0.0,
            noise,
            self.noise_scale,
            self.draws,
            self.bounded,
        )

    def _settings(self, steps: int) -> Settings:
        from otbench.ot.neural.train import Settings
        from otbench.ot.training import Schedule

        potential = Schedule(
            steps,
            self.potential_lr,
            final_lr=1.0,
            warm_up=0.0,
            milestones=self.milestones,
            betas=(0.9, 0.999),
            clip=self.clip,
            ema_decay=self.ema_decay,
        )
        return Settings(potential, self.lr, self.inner_steps, self.r1, self.annealing)

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Train within the budget; if its seconds run out, the current weights are the map.

        Raises
        ------
        Diverged
            If the potential's loss is not finite or beyond 1e4.
        """
        import jax
        from jax.tree_util import Partial

        from otbench.ot.neural.noisy_map import NoisyMap
        from otbench.ot.neural.rules import COLLAPSED
        from otbench.ot.neural.train import train
        from otbench.ot.torch_bridge import SEEDS

        shift, scale = self._units(data, ctx)
        problem = self._problem(data.dimension)
        init_key, train_key = jax.random.split(jax.random.key(ctx.seed_for("map") % SEEDS))
        start = problem.init(init_key)
        samplers = [
            Partial(_scaled, sampler, shift, scale)
            for sampler in batch_samplers(data, self.batch or ctx.budget.batch_size, ctx)
        ]
        self.map_ = NoisyMap(problem, start, shift, scale)
        losses: list[np.ndarray] = []
        settings = self._settings(ctx.budget.steps)
        try:
            for report in train(problem, start, *samplers, settings, train_key, REPORT_EVERY):
                losses.append(report.potential_losses)
                self.map_.parameters = report.parameters._replace(map=report.averaged)
                self.map_.losses = np.concatenate(losses)
                collapsed = report.parts["spread"] < COLLAPSED
                self.status_ = "collapsed" if collapsed else "ok"
                ctx.progress(report.done - 1, **report.parts, collapsed=float(collapsed))
                if ctx.budget.seconds is not None and ctx.seconds > ctx.budget.seconds:
                    return
        except FloatingPointError as error:
            raise Diverged(str(error)) from error

    def _units(self, data: MeasurePair, ctx: FitContext) -> tuple[np.ndarray, float]:
        """Return the shift (d,) and the scale that give the target mean 0 and mean variance 1."""
        if not self.normalise:
            return np.zeros(data.dimension, np.float32), 1.0
        _, y = draw_both(data, START_SAMPLE, ctx)
        scale = float(y.double().var(dim=0, correction=0).mean().sqrt())
        return y.mean(dim=0).numpy(), scale or 1.0

    def noise_dimension(self) -> int:
        """Return the dimension of z; 0 without noise."""
        return self.map_.problem.noise

    def carried(self, x: Tensor, z: Tensor) -> Tensor:
        """Map points (m, d) and noise (m, noise) of unit variance to points (m, d)."""
        return self.map_.push(x, z)

    def potential_losses(self) -> Tensor:
        """Return L_f of every step, (steps,), in the units of training."""
        return torch.from_numpy(np.asarray(self.map_.losses, np.float32))

    def read(self, arrays: dict[str, np.ndarray], dimension: int) -> Any:
        """Rebuild the map from its saved arrays; see `JaxMap.read`."""
        from otbench.ot.neural.noisy_map import NoisyMap

        return NoisyMap.of_arrays(arrays, self._problem(dimension))


def _scaled(sampler: Any, shift: np.ndarray, scale: float, key: Any) -> Any:
    return (sampler(key) - shift) / scale
