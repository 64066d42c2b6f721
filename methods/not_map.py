"""Neural optimal transport: a map with noise, strong or weak, against a free potential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.errors import UsageError
from otbench.interface import (
    Diverged,
    FitContext,
    MeasurePair,
    MethodCard,
    PaperSettings,
    StochasticMap,
    parameter,
)
from otbench.ot.neural.costs import COSTS, WEAK, check_cost

from .jax_map import START_SAMPLE, JaxMap, batch_samplers, check_choice, quiet_jax
from .sampled_map import draw_both

if TYPE_CHECKING:
    from otbench.ot.neural.train import Problem, Schedule

REPORT_EVERY = 50
"""Steps in one compiled run, after which progress is told and the clock looked at."""

COLLAPSED = 0.5
"""Spread of the pushed points over the target's, below which a map has collapsed."""

UNGUIDED_SEED, MEAN_SEED = 20_220_112, 20_220_114
"""Of the noise where no generator is given, and of the mean map."""

PAPER = "Korotin et al. 2022, toy notebooks of the release"
SWEEP = (
    "plane:white-moons, 1500 steps, averaging 0.999, seed 0; (rate, potential_rate): squared W2 to "
    "the target, UVP in percent: (1e-4, 1e-4): 0.131, 1.4; (3e-4, 3e-4): 0.088, 1.4; "
    "(1e-3, 3e-4): 0.075, 1.9; (1e-3, 1e-3): 0.077, 1.9; 4500 steps of the second: 0.055, 1.0. "
    "The authors: 1e-4 both"
)
"""Origin of the rates."""


@dataclass
class NOT(JaxMap, StochasticMap):
    """A map T(x, z) trained against an unconstrained potential f."""

    cost: str = parameter(
        "weak",
        "weak (quadratic, with gamma), l2 (half the squared distance), l1 (sum of the distances "
        "along the axes) or kernel (distance kernel, with gamma)",
        PAPER,
    )
    gamma: float = parameter(
        1.0,
        "weight of the conditional variance of the costs weak and kernel, >= 0; above 1 a bound is "
        "needed",
        PAPER,
    )
    noise_size: int = parameter(
        0, "coordinates of z; 0: as many as the points have. l2 and l1 have no noise", PAPER
    )
    noise_scale: float = parameter(
        1.0,
        "standard deviation of z, > 0",
        "Korotin et al. 2023 (kernel NOT): the conditional variance is learned sooner than at 0.1",
    )
    noise_count: int = parameter(4, "draws of z for each x in an update of T, >= 1", PAPER)
    inner_steps: int = parameter(10, "updates of T before each of f, >= 1", PAPER)
    annealing: float = parameter(
        0.0, "share of the training, [0, 1], in which gamma rises linearly from 0", PAPER
    )
    hidden: tuple[int, ...] = parameter(
        (100, 100, 100), "units of each hidden layer of T and of f", PAPER
    )
    residual: bool = parameter(True, "T = x + network, started near x; false: network alone")
    bound: float = parameter(
        0.0, "b > 0: T = b tanh(T / b), in units of the target's spread; 0: none"
    )
    normalise: bool = parameter(
        True,
        "train in units in which the target has mean 0 and mean variance 1: one shift and one "
        "scale for both laws, with which the problem stays the same",
    )
    batch: int = parameter(64, "points of each side in one update; 0: the budget's", PAPER)
    rate: float = parameter(3e-4, "Adam's for T, > 0", SWEEP)
    potential_rate: float = parameter(3e-4, "Adam's for f, > 0", SWEEP)
    halvings: tuple[float, ...] = parameter(
        (0.5, 0.75), "shares of the training, (0, 1), at which both rates are halved"
    )
    clip: float = parameter(0.0, "largest norm of a gradient; 0: any", PAPER)
    r1: float = parameter(0.0, "weight of E|grad f(y)|^2 / 2 in the potential's loss, >= 0", PAPER)
    averaging: float = parameter(
        0.99,
        "decay, per step, of the running average of T's weights, which is the map; 0: last",
        "plane:white-moons, 1500 steps, seed 0; UVP in percent, conditional variance over the "
        "plan's: 0.99: 0.8, 1.12; 0.999: 1.4, 0.76, as means of maps that use the noise in "
        "different ways use it less",
    )
    means: int = parameter(256, "draws of z that the mean map is over, >= 1", PAPER)

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
            "a step, of the budget and of all counts, is K_T = inner_steps updates of T with fresh "
            "x and z, then one of f",
        ),
        deviations=(
            "sums over coordinates, where the images notebooks take means: f is d / 2 times theirs",
            "defaults add a residual T, averaged weights, two halvings and noise of scale 1; the "
            "preset paper leaves them out",
            "no weight decay (the authors': 1e-10)",
            "a run whose |L_f| passes 1e4 ends as diverged; one whose pushed points have less than "
            "half the target's spread is marked collapsed in its losses and in what is saved",
        ),
        paper=PaperSettings(
            {
                "rate": 1e-4,
                "potential_rate": 1e-4,
                "noise_scale": 0.1,
                "residual": False,
                "normalise": False,
                "halvings": (),
                "averaging": 0.0,
            },
            steps=10_001,
            batch_size=64,
        ),
        relative_cost=4.0,
    )

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_choice("NOT", "cost", self.cost, tuple(COSTS))
        try:
            check_cost(self.cost, self.gamma, self.noise_count, self.bound > 0)
        except ValueError as error:
            raise UsageError(f"NOT: {error}") from error
        if min(self.noise_size, self.bound, self.batch, self.clip, self.r1) < 0:
            raise UsageError("NOT: noise_size, bound, batch, clip and r1 must not be negative")
        if not min(self.noise_scale, self.rate, self.potential_rate) > 0:
            raise UsageError("NOT: noise_scale, rate and potential_rate must be positive")
        if min(self.inner_steps, self.means) < 1 or min(self.hidden, default=0) < 1:
            raise UsageError("NOT: inner_steps, means and units of hidden must be at least 1")
        if not all(0 < share < 1 for share in self.halvings):
            raise UsageError(f"NOT: halvings must be shares in (0, 1), got {self.halvings}")
        if not (0 <= self.averaging < 1 and 0 <= self.annealing <= 1):
            raise UsageError("NOT: averaging must lie in [0, 1) and annealing in [0, 1]")

    @property
    def _noisy(self) -> bool:
        return self.cost in WEAK

    def _problem(self, dimension: int) -> Problem:
        from otbench.ot.neural.networks import noisy_map, potential
        from otbench.ot.neural.train import Problem

        noise = (self.noise_size or dimension) if self._noisy else 0
        return Problem(
            noisy_map(dimension, noise, self.hidden, self.residual, self.bound),
            potential(dimension, self.hidden),
            self.cost,
            self.gamma if self._noisy else 0.0,
            noise,
            self.noise_scale,
            self.noise_count if self._noisy else 1,
            self.bound > 0,
        )

    def _schedule(self, steps: int) -> Schedule:
        from otbench.ot.neural.train import Schedule

        return Schedule(
            steps,
            self.inner_steps,
            self.rate,
            self.potential_rate,
            halvings=self.halvings,
            clip=self.clip,
            averaging=self.averaging,
            r1=self.r1,
            annealing=self.annealing,
        )

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Train within the budget; where its seconds run out, what is there by then is the map.

        Raises
        ------
        Diverged
            If the potential's loss is not finite or beyond 1e4.
        """
        quiet_jax()
        import jax

        from otbench.ot.neural.learned_map import LearnedMap
        from otbench.ot.neural.train import train
        from otbench.ot.torch_bridge import SEEDS

        shift, scale = self._units(data, ctx)
        problem = self._problem(data.dimension)
        init_key, train_key = jax.random.split(jax.random.key(ctx.seed_for("map") % SEEDS))
        start = problem.init(init_key)
        samplers = [
            _scaled(sampler, shift, scale)
            for sampler in batch_samplers(data, self.batch or ctx.budget.batch_size, ctx)
        ]
        self.map_ = LearnedMap(problem, start, shift, scale)
        losses: list[np.ndarray] = []
        schedule = self._schedule(ctx.budget.steps)
        try:
            for report in train(problem, start, *samplers, schedule, train_key, REPORT_EVERY):
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
        """Return the shift (d,) and the scale that make the target's moments 0 and 1."""
        if not self.normalise:
            return np.zeros(data.dimension, np.float32), 1.0
        _, y = draw_both(data, START_SAMPLE, ctx)
        scale = float(y.double().var(dim=0, correction=0).mean().sqrt())
        return y.mean(dim=0).numpy(), scale or 1.0

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        size = (n, self.map_.problem.noise)
        return torch.randn(size, generator=generator, device=generator.device)

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Carry source points, (n, d) to (n, d), each by a noise of its own.

        Without a generator the noise is that of a fixed seed.
        """
        generator = generator or torch.Generator(x.device).manual_seed(UNGUIDED_SEED)
        return self.map_.push(x, self._noise(len(x), generator))

    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Carry each point by the same n draws of the noise, (m, d) to (m, n, d)."""
        if not self._noisy:
            moved = self.map_.push(x, x.new_zeros(len(x), 0))
            return moved.unsqueeze(1).expand(-1, n, -1).contiguous()
        z = self._noise(n, generator)
        moved = self.map_.push(x.repeat_interleave(n, dim=0), z.repeat(len(x), 1))
        return moved.unflatten(0, (len(x), n))

    def push_mean(self, x: Tensor) -> Tensor:
        """Carry points by the barycentric map, the mean over ``means`` draws of a fixed seed."""
        generator = torch.Generator(x.device).manual_seed(MEAN_SEED)
        return self.barycentric(x, self.means, generator)

    def cost_gamma(self) -> float | None:
        """Return gamma of the quadratic costs, 0 for the strong one."""
        return {"weak": self.gamma, "l2": 0.0}.get(self.cost)

    def potential_losses(self) -> Tensor:
        """Return L_f of every step, (steps,), in the units that training took place in."""
        return torch.from_numpy(np.asarray(self.map_.losses, np.float32))

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"status": self.status_}

    def _restore(self, weights: Path, settings: dict[str, Any]) -> None:
        from otbench.ot.neural.learned_map import LearnedMap

        self.map_ = LearnedMap.load(weights, self._problem(settings["dimension"]))
        self.status_ = settings["status"]


def _scaled(sampler: Callable[[Any], Any], shift: np.ndarray, scale: float) -> Callable[[Any], Any]:
    return lambda key: (sampler(key) - shift) / scale
