"""The convex potential, its training by the dual, and the map made of both."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from otbench.ot.gaussian import WhitenedCoordinates, bures_map
from otbench.ot.gradients import gradient_of
from otbench.ot.training import Schedule
from otbench.ot.w2.banded_icnn import FLOOR, banded_icnn
from otbench.ot.w2.lbfgs import LBFGS
from otbench.ot.w2.mlp import residual_map
from otbench.ot.w2.whitened_map import WhitenedMap


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


SIZES = ((32, 16), (32,), LBFGS(max_iterations=10), LBFGS(tolerance=1e-3))
BATCH = 256


def started(points: torch.Tensor, seed: int = 0) -> WhitenedMap:
    fitted = WhitenedMap(WhitenedCoordinates.of(points.numpy()), *SIZES)
    fitted.start(points, seed)
    return fitted


def potential_of(fitted: WhitenedMap):
    return jax.jit(partial(fitted.loss.potential.apply, fitted.map.parameters.potential))


@pytest.fixture(scope="module", params=[2, 8])
def trained(request) -> WhitenedMap:
    points = mixture(4000, request.param, 0)
    fitted = started(points)
    schedule = Schedule(400, 5e-2, ema_decay=0.98, matrices=0.1)
    for _ in fitted.train(points, 0, schedule, BATCH):
        pass
    return fitted


def dimension_of(fitted: WhitenedMap) -> int:
    return len(fitted.coordinates.spread)


def test_networks_start_at_the_identity():
    key = jax.random.key(0)
    x = jax.random.normal(key, (20, 6)) * jnp.arange(1.0, 7.0)
    network = banded_icnn(6, (12, 5))
    parameters = network.init(key, x)
    np.testing.assert_allclose(network.apply(parameters, x), 0.5 * (x**2).sum(1), rtol=1e-6)
    moved = jax.jit(gradient_of(partial(network.apply, parameters)))(x)
    np.testing.assert_allclose(moved, x, rtol=1e-6)
    amortizer = residual_map(6, (7,), zero_start=True, scaled=True)
    np.testing.assert_allclose(amortizer.apply(amortizer.init(key, x), x), x, rtol=1e-6)


def test_a_scaled_amortizer_is_equivariant_to_units():
    """Every coordinate in other units: the displacement comes out in those."""
    key, units = jax.random.key(0), jnp.asarray([1e-3, 1.0, 1e2])
    x = jax.random.normal(key, (50, 3))
    network = residual_map(3, (7,), scaled=True)
    plain, scaled = (network.init(key, points) for points in (x, x * units))
    np.testing.assert_allclose(
        network.apply(scaled, x * units), network.apply(plain, x) * units, rtol=1e-4
    )


def test_projection_keeps_only_what_is_convex():
    network = banded_icnn(4, (6,))
    parameters = network.init(jax.random.key(0), jax.random.normal(jax.random.key(1), (50, 4)))
    broken = {name: value - 1.0 for name, value in parameters.items()}
    projected = network.project(broken)
    for name in ("output0", "output_norms", "norms"):
        assert float(projected[name].min()) >= 0
    np.testing.assert_array_equal(projected["directions0"], broken["directions0"])


def test_every_weight_of_the_output_can_leave_zero():
    """At the exact start the gradient reaches the zero output weights."""
    x = jax.random.normal(jax.random.key(1), (50, 4))
    network = banded_icnn(4, (6, 3))
    parameters = network.init(jax.random.key(0), x)
    gradient = jax.jit(jax.grad(lambda p: network.apply(p, x).sum()))(parameters)
    for name in ("output0", "output1", "output_norms"):
        assert float(jnp.abs(gradient[name]).min()) > 0


def test_empty_layers_are_refused():
    with pytest.raises(ValueError, match="hidden"):
        banded_icnn(2, ())


def test_trained_potential_is_strongly_convex(trained):
    potential = potential_of(trained)
    a, b = 4 * jax.random.normal(jax.random.key(5), (2, 2000, dimension_of(trained)))
    gap = 0.5 * (potential(a) + potential(b)) - potential((a + b) / 2)
    modulus = FLOOR / 8 * ((a - b) ** 2).sum(1)
    assert float((gap - modulus).min()) > -1e-4
    weights = trained.map.parameters.potential
    assert any(float(v.max()) > 0 for name, v in weights.items() if "output" in name)


def test_start_is_the_bures_map():
    points = mixture(4000, 8, 0)
    start = started(points)
    values = points.double().numpy()
    matrix, offset = bures_map(values.mean(0), np.cov(values.T), np.zeros(8), np.eye(8))
    pushed = values @ matrix.T + offset
    np.testing.assert_allclose(start.push(points), pushed, atol=1e-5)
    back = start.pull(torch.from_numpy(pushed).float())
    np.testing.assert_allclose(back, values, atol=1e-5)


def test_training_beats_the_linear_map(trained):
    dimension = dimension_of(trained)
    held_out = mixture(2000, dimension, 1)
    linear = started(mixture(4000, dimension, 0))
    before = distance_to_normal(linear.push(held_out))
    assert distance_to_normal(trained.push(held_out)) < 0.6 * before


@pytest.mark.parametrize("n", [1, 1030])
def test_pull_undoes_push(trained, n):
    x = mixture(n, dimension_of(trained), 2)
    y = trained.push(x)
    assert y.shape == x.shape
    found = trained.conjugate(y)
    assert float(found.residual.max()) <= 1e-3
    # the inverse stretches at most 1 / FLOOR times, and spread**2 along the axes
    np.testing.assert_allclose(trained.pull(y), x, atol=2e-2)
    np.testing.assert_allclose(trained.push(trained.pull(y)), y, atol=2e-3)


def test_the_residual_is_that_of_the_target_itself(trained):
    y = torch.randn(50, dimension_of(trained), generator=torch.Generator().manual_seed(3))
    error = (trained.push(trained.pull(y)) - y).abs().amax(1)
    np.testing.assert_allclose(trained.conjugate(y).residual, error, atol=1e-4)


@pytest.mark.parametrize("trained", [2], indirect=True)
def test_the_amortizer_predicts_better_than_the_start(trained):
    y = torch.randn(1000, dimension_of(trained), generator=torch.Generator().manual_seed(1))
    solution = trained.pull(y)
    linear = started(mixture(4000, dimension_of(trained), 0)).pull(y)
    whitened = jnp.asarray(y.numpy() @ trained.coordinates.axes * trained.coordinates.spread)
    predicted = trained.loss.predict(trained.map.parameters, whitened.astype(jnp.float32))
    back = np.asarray(predicted) * trained.coordinates.spread @ trained.coordinates.axes.T
    error = ((back + trained.coordinates.mean - solution.numpy()) ** 2).mean()
    assert error < 0.7 * float(((linear - solution) ** 2).mean())


def test_the_seed_decides_the_start():
    points = mixture(500, 2, 0)
    first, again, other = (
        started(points, seed).map.parameters.amortizer["kernel0"] for seed in (0, 0, 1)
    )
    assert bool((first == again).all())
    assert not bool((first == other).any())


def test_all_comes_back_from_its_arrays(trained):
    x = mixture(30, dimension_of(trained), 4)
    again = WhitenedMap.of_arrays(trained.arrays(), *SIZES)
    assert torch.equal(again.push(x), trained.push(x))
    assert torch.equal(again.pull(x), trained.pull(x))


def test_arrays_of_what_is_not_a_convex_map_are_refused(trained):
    arrays = trained.arrays()
    lowered = {"potential.output0": arrays["potential.output0"] - 10}
    with pytest.raises(ValueError, match=r"output0.*not be convex"):
        WhitenedMap.of_arrays(arrays | lowered, *SIZES)
    with pytest.raises(ValueError, match="holds no map"):
        WhitenedMap.of_arrays({"weight": np.zeros(3)}, *SIZES)


def test_wrong_dimension_is_named(trained):
    with pytest.raises(ValueError, match=r"got \(3, 11\)"):
        trained.push(torch.zeros(3, 11))
