"""Base of the maps trained by OTT-JAX's own estimators: networks, batches, budget, saving."""

from __future__ import annotations

import importlib
import itertools
import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from otbench.errors import UsageError
from otbench.extras import missing_from
from otbench.interface import Diverged, FitContext, MeasurePair, parameter
from otbench_methods.neural_maps.base import JaxMap, batch_samplers

if TYPE_CHECKING:
    from otbench.ot.w2.brenier_map import View
    from otbench.ot.w2.network import Network, Parameters

ACTIVATIONS = ("own", "elu", "softplus")

TOLERANCE, ITERATIONS = 1e-3, 100
"""Settings of the solver of the inverse map and the dual value, the defaults of the suite's own
potentials."""


class OutOfTime(Exception):
    """The budget's seconds are used up."""


def missing_extra() -> str | None:
    """Return why OTT-JAX's neural part cannot be imported, or None if it can."""
    return missing_from("neural")


def import_neural(module: str) -> Any:
    """Import a module of `ott.neural` when it is needed.

    Raises
    ------
    UsageError
        If the optional dependencies are missing.
    """
    if reason := missing_extra():
        raise UsageError(reason)
    with warnings.catch_warnings():  # OTT imports JAXopt, which warns that it is deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(f"ott.neural.{module}")


def flat(parameters: Any) -> Parameters:
    """Flatten flax's nested parameters to one dictionary whose names are joined by slashes."""
    from flax.traverse_util import flatten_dict

    values: Parameters = flatten_dict(parameters, sep="/")
    return values


def as_network(module: Any, dimension: int) -> Network:
    """Wrap a flax module as pure functions over a flat dictionary of parameters.

    The module is mapped over single points, because OTT's ICNN drops the axis of a batch of one.
    """
    import jax
    import jax.numpy as jnp
    from flax.traverse_util import unflatten_dict

    from otbench.ot.w2.network import Network

    def init(key: Any, sample: Any) -> Parameters:
        return flat(module.init(key, jnp.ones((1, dimension)))["params"])

    def apply(parameters: Parameters, x: Any) -> Any:
        variables = {"params": unflatten_dict(parameters, sep="/")}
        return jax.vmap(lambda point: module.apply(variables, point))(x)

    return Network(dimension, init, apply)


def watched(
    step: Callable[..., Any],
    losses_of: Callable[[Any], dict[str, Any]],
    steps: int,
    ctx: FitContext,
) -> Callable[..., Any]:
    """Record the losses of OTT's step function, which OTT's training loop does not report.

    Progress counts the budget's steps; one of OTT's steps may count as several.
    """
    done = itertools.count(1)

    def run(*args: Any) -> Any:
        result = step(*args)
        ctx.progress(max(next(done) * ctx.budget.steps // steps, 1) - 1, **losses_of(result))
        return result

    return run


def batches(sampler: Callable[[Any], Any], key: Any, ctx: FitContext) -> Iterator[Any]:
    """Yield batches of a side, at least one; raise OutOfTime when the time is up."""
    import jax

    draw = jax.jit(sampler)
    for number in itertools.count():
        if number and ctx.budget.seconds is not None and ctx.seconds > ctx.budget.seconds:
            raise OutOfTime
        yield draw(jax.random.fold_in(key, number))


@contextmanager
def steered() -> Iterator[None]:
    """End OTT's training loop when the time is up, and hide its progress bar."""
    with patch.dict(sys.modules, {"tqdm": None, "tqdm.auto": None}), suppress(OutOfTime):
        yield


@dataclass
class OTTNeuralMap(JaxMap):
    """A map trained by an estimator of `ott.neural` within the suite's budget."""

    hidden: tuple[int, ...] = parameter(
        (64, 64, 64),
        "units of each hidden layer",
        "as in the suite's own potentials",
        low=1,
        nonempty=True,
    )
    activation: str = parameter(
        "elu",
        "activation: elu, softplus or own (ReLU in OTT's ICNN, leaky ReLU in its PotentialMLP)",
        "with OTT-JAX's own activations the gradient of a potential is discontinuous",
        choices=ACTIVATIONS,
    )
    batch: int = parameter(
        256,
        "points of each side in one update; 0: the budget's batch size",
        "as in the suite's own potentials",
        low=0,
    )
    updates: int = parameter(
        500,
        "largest number of updates; 0: the budget's steps",
        "an update takes many times as long as one of w2-amortized; the limit keeps presets "
        "within minutes",
        low=0,
    )
    lr: float = parameter(
        3e-3, "highest learning rate, > 0", "good results at n = 4 in 400 updates", above=0
    )
    final_lr: float = parameter(
        0.01,
        "learning rate at the end of the cosine schedule, as a fraction of the highest",
        low=0,
        high=1,
    )
    betas: tuple[float, float] = parameter((0.9, 0.99), "Adam's betas", low=0, below=1)

    def skip(self, data: MeasurePair) -> str | None:
        """Return a reason if the optional dependencies are missing."""
        return missing_extra() or super().skip(data)

    @abstractmethod
    def _modules(self, dimension: int) -> tuple[Any, ...]:
        """Return the flax modules, the map's first."""

    @abstractmethod
    def _view(self, networks: tuple[Network, ...]) -> View[Any]:
        """Return the view of the trained networks as a map."""

    @abstractmethod
    def _train(
        self,
        modules: tuple[Any, ...],
        data: MeasurePair,
        key: Any,
        sides: tuple[Iterator[Any], Iterator[Any]],
        ctx: FitContext,
    ) -> Any:
        """Run the estimator on batches of both sides; return parameters of the view's kind."""

    def _steps(self, ctx: FitContext) -> int:
        return min(self.updates or ctx.budget.steps, ctx.budget.steps)

    def _optimiser(self, steps: int) -> Any:
        import optax

        schedule = optax.cosine_decay_schedule(self.lr, steps, self.final_lr)
        return optax.adam(schedule, *self.betas)

    def _activation(self) -> dict[str, Any]:
        """Return the modules' activation argument, or nothing for OTT's own default."""
        import jax

        return {} if self.activation == "own" else {"act_fn": getattr(jax.nn, self.activation)}

    def fit(self, data: MeasurePair, ctx: FitContext) -> None:
        """Train within the budget; if its seconds run out, the current weights are the map.

        Raises
        ------
        Diverged
            If a loss or a parameter becomes non-finite.
        UsageError
            If the optional dependencies are missing.
        """
        import jax
        import jax.numpy as jnp

        from otbench.ot.torch_bridge import SEEDS

        modules = self._modules(data.dimension)
        key, *keys = jax.random.split(jax.random.key(ctx.seed_for("map") % SEEDS), 3)
        samplers = batch_samplers(data, self.batch or ctx.budget.batch_size, ctx)
        source, target = (batches(s, k, ctx) for s, k in zip(samplers, keys, strict=True))
        parameters = self._train(modules, data, key, (source, target), ctx)
        if not all(bool(jnp.isfinite(value).all()) for value in jax.tree.leaves(parameters)):
            raise Diverged("the trained parameters are not finite")
        self.map_ = self._read(modules, data.dimension, lambda view: parameters)

    def _read(
        self, modules: tuple[Any, ...], dimension: int, parameters: Callable[[View[Any]], Any]
    ) -> Any:
        from otbench.ot.w2.brenier_map import BrenierMap
        from otbench.ot.w2.lbfgs import LBFGS

        view = self._view(tuple(as_network(module, dimension) for module in modules))
        return BrenierMap(view, parameters(view), LBFGS(TOLERANCE, ITERATIONS))

    def read(self, arrays: dict[str, np.ndarray], dimension: int) -> Any:
        """Rebuild the map from its saved arrays; see `JaxMap.read`."""
        from otbench.ot.w2.brenier_map import checked

        modules = self._modules(dimension)
        return self._read(modules, dimension, lambda view: checked(arrays, view))

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Push source points forward, (n, d) to (n, d), on their device."""
        return self.map_.push(x)
