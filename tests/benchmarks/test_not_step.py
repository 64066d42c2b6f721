"""One step of neural optimal transport in the paper's setting of the plane:
``pytest tests/benchmarks/test_not_step.py --benchmark-only``.

Ten updates of the map and one of the potential, batches of 64, four draws of noise. The round is a
compiled run of 50 steps, as training makes them; divide by 50.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from otbench.ot.neural.problem import Pair
from otbench.ot.neural.train import run_steps
from otbench.ot.training import batches_of
from otbench_datasets.point_pairs.plane import PlanarPair
from otbench_methods.neural_maps.not_map import NOT

STEPS = 50


@pytest.mark.parametrize("settings", ["default", "paper"])
def test_fifty_steps(benchmark: Any, settings: str) -> None:
    paper = NOT.card.paper
    assert paper is not None
    method = NOT(**(paper.parameters if settings == "paper" else {}))
    problem, chosen = method._problem(2), method._settings(paper.steps)
    samplers = [
        batches_of(sampler, method.batch) for sampler in PlanarPair("white-moons").jax_samplers()
    ]
    start, optimisers = problem.init(jax.random.key(0)), chosen.optimisers()
    states = Pair(optimisers.map.init(start.map), optimisers.potential.init(start.potential))
    carry = (start, states, start.map, jnp.zeros(()))
    run = partial(run_steps, problem, chosen, *samplers)
    keys = jax.random.split(jax.random.key(1), STEPS)
    jax.block_until_ready(run(carry, keys))
    (_, measured) = benchmark(lambda: jax.block_until_ready(run(carry, keys)))
    assert bool(jnp.isfinite(measured["potential"]).all())
