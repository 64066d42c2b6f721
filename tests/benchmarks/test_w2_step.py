"""One training step beside OTT-JAX's W2NeuralDual: ``pytest tests/benchmarks/test_w2_step.py
--benchmark-only``.

Regression with L-BFGS at a tolerance of 0.1 (100 iterations at most), batches of 1,024. Both sides
run the same potential and amortizer from the same parameters: ``trained``, those after a short
training, where predictions are good and a conjugate takes an iteration or two, and ``curved``, a
convex potential with its weights moved off the start, where it takes more. Ours draws its batches
and takes quantiles inside the step; OTT's gets them drawn. The rows ``euclidean`` give ours OTT's
stricter tolerance as well; ``largest_entry`` is that of Amos 2023.

For a convex potential the ratio stays far from 30, and cannot reach it: at n = 16, ``curved`` (1.8
iterations on average, 3 at most), OTT's step took 4.1 times ours in process time, and half of ours
is what every step needs, the gradients of the two losses. With a conjugate that cost nothing the
ratio would be about 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

from otbench.ot.training import Schedule
from otbench.ot.w2.conjugate import euclidean, largest_entry
from otbench.ot.w2.icnn import icnn
from otbench.ot.w2.lbfgs import LBFGS
from otbench.ot.w2.losses import DualLoss
from otbench.ot.w2.mlp import quadratic_mlp, residual_map
from otbench.ot.w2.network import Network
from otbench.ot.w2.train import run_updates, train

BATCH = 1024
TRAINED = 60
POTENTIALS = {
    "icnn": icnn,
    "mlp": lambda n: quadratic_mlp(n, (2 * max(n, 32), 2 * max(n, 32), max(n, 32))),
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """What OTT's step expects of flax's TrainState."""

    params: Any
    optimiser_state: Any

    def bind(self, network: Network, gradient_network: bool, optimiser: Any) -> Any:
        fields = {
            "potential_value_fn": staticmethod(
                (lambda params, other: other)
                if gradient_network
                else (lambda params, other=None: lambda x: value_at(network, params, x))
            ),
            "potential_gradient_fn": staticmethod(lambda params: partial(network.apply, params)),
        }

        def apply_gradients(state: Any, grads: Any) -> Any:
            updates, inner = optimiser.update(grads, state.optimiser_state, state.params)
            return type(state)(optax.apply_updates(state.params, updates), inner)

        kind = type("Bound", (State,), {**fields, "apply_gradients": apply_gradients})
        jax.tree_util.register_dataclass(kind, ["params", "optimiser_state"], [])
        return kind(self.params, self.optimiser_state)


def value_at(network: Network, params: Any, x: jax.Array) -> jax.Array:
    return network.apply(params, x[None])[0] if x.ndim == 1 else network.apply(params, x)


class Given:
    """A network for W2NeuralDual that starts at given parameters."""

    def __init__(self, network: Network, parameters: Any, gradient_network: bool) -> None:
        self.network, self.parameters, self.gradient = network, parameters, gradient_network

    def create_train_state(self, rng: Any, optimiser: Any, shape: Any) -> Any:
        state = State(self.parameters, optimiser.init(self.parameters))
        return state.bind(self.network, self.gradient, optimiser)


def samplers(dimension: int):
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    root = jnp.asarray((axes * np.geomspace(0.3, 2, dimension)) @ axes.T, jnp.float32)

    def source(key):
        return jax.random.normal(key, (BATCH, dimension))

    return source, lambda key: jnp.abs(source(key)) @ root


@cache
def problem(name: str, dimension: int, state: str):
    source, target = samplers(dimension)
    loss = DualLoss(
        POTENTIALS[name](dimension), residual_map(dimension, zero_start=True), "regression"
    )
    start = loss.init(jax.random.key(0), source(jax.random.key(1)))
    if state == "curved":
        rng = np.random.default_rng(1)
        moved = {
            entry: value + 0.3 * jnp.asarray(rng.normal(size=value.shape), jnp.float32)
            for entry, value in sorted(start.potential.items())
        }
        return loss, start._replace(potential=moved), source, target
    schedule = Schedule(TRAINED, 2e-3)
    *_, final = train(loss, start, source, target, schedule, jax.random.key(2), TRAINED)
    return loss, final.parameters, source, target


CASES = pytest.mark.parametrize(
    ("name", "dimension", "state"),
    [("icnn", n, state) for n in (16, 64) for state in ("trained", "curved")]
    + [("mlp", n, "trained") for n in (16, 64)],
)


def grouped(benchmark, name: str, dimension: int, state: str):
    benchmark.group = f"step, {state} {name}, n = {dimension}, batch {BATCH}"
    return problem(name, dimension, state)


@CASES
@pytest.mark.parametrize("size", [largest_entry, euclidean], ids=["largest_entry", "euclidean"])
def test_step(benchmark, name, dimension, state, size):
    loss, parameters, source, target = grouped(benchmark, name, dimension, state)
    loss = replace(loss, solver=LBFGS(size=Partial(size)))
    schedule = Schedule(1, 1e-4, final_lr=1.0, warm_up=0.0, betas=(0.9, 0.999))
    carry = (parameters, schedule.optimiser().init(parameters), parameters, jnp.zeros(()))
    keys = jax.random.split(jax.random.key(3), 1)
    step = partial(run_updates, loss, schedule, Partial(source), Partial(target))
    parts = step(carry, keys)[1]
    benchmark.extra_info["iterations"] = f"{float(parts['iterations'][0]):.1f}"
    benchmark.extra_info["residual"] = f"{float(parts['residual_max'][0]):.2g}"
    benchmark.pedantic(
        lambda: jax.block_until_ready(step(carry, keys)), rounds=10, iterations=1, warmup_rounds=1
    )


@CASES
def test_ott_step(benchmark, ott_neural, name, dimension, state):
    loss, parameters, source, target = grouped(benchmark, name, dimension, state)
    solver = ott_neural.conjugate.FenchelConjugateLBFGS(gtol=0.1, max_iter=100)
    dual = ott_neural.neuraldual.W2NeuralDual(
        dimension,
        Given(loss.potential, parameters.potential, False),
        Given(loss.amortizer, parameters.amortizer, True),
        optax.adam(1e-4),
        optax.adam(1e-4),
        back_and_forth=False,
        conjugate_solver=solver,
        amortization_loss="regression",
    )
    keys = jax.random.split(jax.random.key(3))
    batch = {"source": source(keys[0]), "target": target(keys[1])}
    states = dual.state_f, dual.state_g
    benchmark.pedantic(
        lambda: jax.block_until_ready(dual.train_step_parallel(*states, batch)),
        rounds=4,
        iterations=1,
        warmup_rounds=1,
    )
