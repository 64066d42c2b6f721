"""The convex potential, its training by the dual, and the map made of both."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from otbench.ot.amortized_map import AmortizedMap
from otbench.ot.conjugate import gradient_of
from otbench.ot.gaussian import bures_map
from otbench.ot.icnn import FLOOR, icnn, init_icnn, init_residual_mlp, project_icnn, residual_mlp


def mixture(n: int, dimension: int, seed: int) -> torch.Tensor:
    """Two bent clusters in correlated axes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dimension, generator=generator)
    x[:, 0] += 3 * torch.sign(torch.rand(n, generator=generator) - 0.5)
    x[:, 1] += 0.5 * x[:, 0]
    return x * torch.linspace(1.5, 0.2, dimension) + 1


def distance_to_normal(y: torch.Tensor) -> float:
    """Wasserstein-2 distance to N(0, 1) of the marginal along the axis between the clusters."""
    marginal = y @ y.new_tensor([1.0] + [0.0] * (y.shape[1] - 1))
    levels = (torch.arange(len(y)) + 0.5) / len(y)
    return float(((marginal.sort().values - torch.special.ndtri(levels)) ** 2).mean().sqrt())


SETTINGS = {
    "steps": 400,
    "batch_size": 256,
    "amortizer_rate": 1e-2,
    "tolerance": 0.1,
    "iterations": 10,
}


def train(points: torch.Tensor) -> AmortizedMap:
    trained = AmortizedMap.start(points, 0, (32, 16), (32,))
    for _ in trained.train(points, 0, rate=5e-2, **SETTINGS):
        pass
    return trained


@pytest.fixture(scope="module", params=[2, 8])
def trained(request) -> AmortizedMap:
    return train(mixture(4000, request.param, 0))


def test_potential_starts_at_half_the_square():
    key = jax.random.key(0)
    x = jax.random.normal(key, (20, 6)) * jnp.arange(1.0, 7.0)
    parameters = init_icnn(key, x, (12, 5))
    np.testing.assert_allclose(icnn(parameters, x), 0.5 * (x**2).sum(1), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(gradient_of(partial(icnn, parameters)))(x), x, rtol=1e-6)
    amortizer = init_residual_mlp(key, jnp.std(x, axis=0), (7,))
    np.testing.assert_allclose(residual_mlp(amortizer, x), x, rtol=1e-6)


def test_projection_keeps_only_what_is_convex():
    parameters = init_icnn(jax.random.key(0), jax.random.normal(jax.random.key(1), (50, 4)), (6,))
    broken = {name: value - 1.0 for name, value in parameters.items()}
    projected = project_icnn(broken)
    for name in ("output0", "output_norms", "norms"):
        assert float(projected[name].min()) >= 0
    np.testing.assert_array_equal(projected["directions0"], broken["directions0"])


def test_every_weight_of_the_output_can_leave_zero():
    """At the exact start the gradient reaches the zero output weights."""
    x = jax.random.normal(jax.random.key(1), (50, 4))
    parameters = init_icnn(jax.random.key(0), x, (6, 3))
    gradient = jax.jit(jax.grad(lambda p: icnn(p, x).sum()))(parameters)
    for name in ("output0", "output1", "output_norms"):
        assert float(jnp.abs(gradient[name]).min()) > 0


def test_empty_layers_are_refused():
    with pytest.raises(ValueError, match="hidden"):
        init_icnn(jax.random.key(0), jnp.ones((3, 2)), ())


def test_trained_potential_is_strongly_convex(trained):
    potential = jax.jit(partial(icnn, trained.parameters.potential))
    a, b = 4 * jax.random.normal(jax.random.key(5), (2, 2000, len(trained.spread)))
    gap = 0.5 * (potential(a) + potential(b)) - potential((a + b) / 2)
    modulus = FLOOR / 8 * ((a - b) ** 2).sum(1)
    assert float((gap - modulus).min()) > -1e-4
    assert any(float(v.max()) > 0 for n, v in trained.parameters.potential.items() if "output" in n)


def test_start_is_the_bures_map():
    points = mixture(4000, 8, 0)
    start = AmortizedMap.start(points, 0, (32, 16), (32,))
    values = points.double().numpy()
    matrix, offset = bures_map(values.mean(0), np.cov(values.T), np.zeros(8), np.eye(8))
    pushed = values @ matrix.T + offset
    np.testing.assert_allclose(start.push(points), pushed, atol=1e-5)
    back = start.pull(torch.from_numpy(pushed).float())
    np.testing.assert_allclose(back, values, atol=1e-5)


def test_training_beats_the_linear_map(trained):
    dimension = len(trained.spread)
    held_out = mixture(2000, dimension, 1)
    linear = AmortizedMap.start(mixture(4000, dimension, 0), 0, (32, 16), (32,))
    before = distance_to_normal(linear.push(held_out))
    assert distance_to_normal(trained.push(held_out)) < 0.6 * before


@pytest.mark.parametrize("n", [1, 1030])
def test_pull_undoes_push(trained, n):
    x = mixture(n, len(trained.spread), 2)
    y = trained.push(x)
    assert y.shape == x.shape
    found = trained.conjugate(y)
    assert float(found.residual.max()) <= 1e-3
    # the inverse stretches at most 1 / FLOOR times, and spread**2 along the axes
    np.testing.assert_allclose(trained.pull(y), x, atol=2e-2)
    np.testing.assert_allclose(trained.push(trained.pull(y)), y, atol=2e-3)


def test_amortizer_approaches_the_inverse_of_a_map_at_rest():
    """With the potential frozen, regression alone must bring the prediction to the solution."""
    points = mixture(4000, 2, 0)
    resting = train(points)
    y = torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))
    solution = (resting.pull(y).numpy() - resting.coordinates.mean) @ resting.coordinates.axes
    solution = solution / resting.coordinates.spread
    target = y.numpy() @ resting.coordinates.axes * resting.coordinates.spread

    def error() -> float:
        predicted = residual_mlp(resting.parameters.amortizer, jnp.asarray(target, jnp.float32))
        return float(((predicted - solution) ** 2).mean())

    before, potential = error(), resting.parameters.potential
    for _ in resting.train(points, 1, rate=0.0, **(SETTINGS | {"steps": 200})):
        pass
    assert error() < 0.7 * before
    assert before < ((target - solution) ** 2).mean()
    assert all(bool((potential[n] == v).all()) for n, v in resting.parameters.potential.items())


def test_the_seed_decides_the_start():
    points = mixture(500, 2, 0)
    first, again, other = (
        AmortizedMap.start(points, seed, (32, 16), (32,)).parameters.amortizer["weight0"]
        for seed in (0, 0, 1)
    )
    assert bool((first == again).all())
    assert not bool((first == other).any())


def test_save_and_load(trained, tmp_path):
    x = mixture(30, len(trained.spread), 4)
    trained.save(tmp_path / "map.safetensors")
    again = AmortizedMap.load(tmp_path / "map.safetensors")
    assert torch.equal(again.push(x), trained.push(x))
    assert torch.equal(again.pull(x), trained.pull(x))


def test_load_refuses_what_is_not_a_convex_map(trained, tmp_path):
    file = tmp_path / "map.safetensors"
    trained.save(file)
    arrays = load_file(file)
    save_file(arrays | {"potential.output0": arrays["potential.output0"] - 10}, file)
    with pytest.raises(ValueError, match=r"not convex.*output0"):
        AmortizedMap.load(file)
    save_file({"weight": np.zeros(3)}, file)
    with pytest.raises(ValueError, match="holds no map"):
        AmortizedMap.load(file)


def test_wrong_dimension_is_named(trained):
    with pytest.raises(ValueError, match=r"got \(3, 11\)"):
        trained.push(torch.zeros(3, 11))
