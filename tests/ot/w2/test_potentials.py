"""Potentials: sizes of the paper, convexity, gradients, closed-form starts, clear errors."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from otbench.ot.gradients import gradient_of
from otbench.ot.w2.icnn import GaussianStart, icnn, quadratic_icnn, started_at
from otbench.ot.w2.mlp import mlp, quadratic_mlp, residual_map
from otbench.ot.w2.network import check_parameters, count

pytestmark = pytest.mark.usefixtures("strict_promotion")

KEY = jax.random.key(0)


SAMPLE = jnp.asarray(np.random.default_rng(9).normal(size=(256, 5)), jnp.float32)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def shaken(network, spread=0.3):
    """Return parameters away from the start, where nothing is zero, still feasible."""
    start = network.init(KEY, SAMPLE[:, : network.dimension])
    moved = {
        name: value + spread * draw(*value.shape, seed=k)
        for k, (name, value) in enumerate(sorted(start.items()))
    }
    return network.project(moved)


@pytest.mark.parametrize(
    ("dimension", "convex", "plain", "amortizer"),
    [(2, 6852, 6466, 6498), (16, 9106, 7362, 7856), (64, 45890, 33154, 37248)],
)
def test_sizes_are_those_of_the_release(dimension, convex, plain, amortizer):
    sample = jnp.zeros((2, dimension))
    sizes = [
        count(jax.eval_shape(network(dimension).init, KEY, sample))
        for network in (icnn, mlp, residual_map)
    ]
    assert sizes == [convex, plain, amortizer]


CONVEX = [icnn(5, (16, 12, 8)), quadratic_icnn(5, (16, 12, 8))]


@pytest.mark.parametrize("network", CONVEX, ids=["paper", "quadratic"])
@pytest.mark.parametrize("seed", [0, 2])
def test_icnn_is_convex(network, seed):
    f = jax.jit(partial(network.apply, shaken(network, 0.5 + seed)))
    x, y = 4 * draw(2, 500, 5, seed=seed)
    middle, chord = f((x + y) / 2), (f(x) + f(y)) / 2
    assert bool(jnp.all(middle <= chord + 1e-5 * (1 + jnp.abs(chord))))
    hessians = jax.jit(jax.vmap(jax.hessian(lambda point: f(point[None])[0])))(x[:50])
    eigenvalues = jnp.linalg.eigvalsh(hessians)
    assert float(eigenvalues.min()) >= -1e-4 * float(eigenvalues.max())


def test_the_midpoint_test_can_fail():
    """The same check catches a potential that is not convex: the MLP."""
    network = mlp(5, (16, 16))
    f = jax.jit(partial(network.apply, shaken(network, 1.0)))
    x, y = 4 * draw(2, 500, 5)
    assert bool(jnp.any(f((x + y) / 2) > (f(x) + f(y)) / 2 + 0.1))


@pytest.mark.parametrize("network", [*CONVEX, mlp(5, (16, 8)), quadratic_mlp(5, (16, 8))])
def test_gradient_agrees_with_finite_differences(network):
    shaken_up = shaken(network)
    with jax.enable_x64(True):
        parameters = {k: jnp.asarray(v, jnp.float64) for k, v in shaken_up.items()}
        f = jax.jit(partial(network.apply, parameters))
        x = jnp.asarray(np.random.default_rng(1).normal(size=(20, 5)))
        step = 1e-5
        differences = [(f(x + s) - f(x - s)) / (2 * step) for s in step * jnp.eye(5)[:, None]]
        np.testing.assert_allclose(
            jax.jit(gradient_of(f))(x), jnp.stack(differences, 1), rtol=1e-6, atol=1e-7
        )


def test_values_match_a_numpy_evaluation():
    """The formula of the docstring, layer by layer in NumPy."""
    network = CONVEX[0]
    p = {k: np.asarray(v, np.float64) for k, v in shaken(network).items()}
    x = np.random.default_rng(2).normal(size=(7, 5))

    def act(v):
        return np.where(v > 0, v, np.expm1(np.minimum(v, 0)))

    z = act(x @ p["kernel0"] + p["bias0"])
    for layer in (1, 2, 3):
        z = z @ np.log1p(np.exp(p[f"inner{layer}"])) / z.shape[1]
        z = z + x @ p[f"kernel{layer}"] + p[f"bias{layer}"]
        if layer < 3:
            z = np.exp(p[f"log_scale{layer}"]) * z + p[f"offset{layer}"]
        z = act(z)
    expected = z[:, 0] + 0.5 * np.exp(p["log_alpha"]) * (x**2).sum(1)
    got = jax.jit(network.apply)(
        {k: jnp.asarray(v, jnp.float32) for k, v in p.items()}, jnp.asarray(x, jnp.float32)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_actnorm_starts_normalised():
    network = icnn(3, (8, 6))
    sample = 2 + draw(2000, 3)
    p = {name: np.asarray(value) for name, value in network.init(KEY, sample).items()}
    z = np.asarray(jax.nn.elu(sample @ p["kernel0"] + p["bias0"][None]))
    drive = z @ np.log1p(np.exp(p["inner1"])) / 8 + np.asarray(sample @ p["kernel1"])
    normal = np.exp(p["log_scale1"]) * drive + p["offset1"]
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(normal.std(0), 1, atol=1e-4)


def test_gaussian_start_is_the_closed_form_map():
    """N(0, S) to N(m, diag) with commuting covariances: the map is known by hand."""
    rng = np.random.default_rng(3)
    source = rng.normal(size=(4000, 3)) * [1.0, 2.0, 0.5]
    target = source * [2.0, 0.5, 3.0] + [1.0, 0.0, -2.0]
    network = quadratic_icnn(3, (16, 8))
    parameters = network.init(KEY, jnp.asarray(source[:256], jnp.float32))
    parameters = started_at(parameters, GaussianStart.of(source, target))
    pushed = jax.jit(gradient_of(partial(network.apply, parameters)))(
        jnp.asarray(source[:50], jnp.float32)
    )
    np.testing.assert_allclose(pushed, target[:50], atol=1e-2)


@pytest.mark.parametrize(
    "network", [quadratic_mlp(4, (8, 8)), quadratic_icnn(4, (8, 8)), residual_map(4, (8,), True)]
)
def test_zero_starts_are_the_identity(network):
    x = draw(30, 4)
    f = jax.jit(partial(network.apply, network.init(KEY, x)))
    moved = f(x) if f(x).ndim == 2 else gradient_of(f)(x)
    np.testing.assert_allclose(moved, x, atol=1e-6)


def test_zero_starts_can_leave():
    """Every hidden unit gets a gradient through the last layer at once."""
    network = quadratic_mlp(4, (8, 8))
    x = draw(30, 4)
    parameters = network.init(KEY, x)
    slopes = jax.jit(jax.grad(lambda p: network.apply(p, x).sum()))(parameters)
    assert bool(jnp.all(slopes["kernel2"] != 0))


@pytest.mark.parametrize("network", [icnn, mlp, quadratic_mlp, residual_map])
@pytest.mark.parametrize("sizes", [(0, (4,)), (3, ()), (3, (4, 0))])
def test_wrong_sizes_are_named(network, sizes):
    with pytest.raises(ValueError, match="at least"):
        network(*sizes)


@pytest.mark.parametrize("network", [*CONVEX, mlp(5), residual_map(5)])
def test_points_of_another_dimension_are_named(network):
    with pytest.raises(ValueError, match=r"points must have shape \(m, 5\), got \(3, 4\)"):
        network.apply({}, jnp.zeros((3, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p | {"output": p["output"].at[0].set(-0.5)}, "negative weights .*-0.5"),
        (lambda p: p | {"shift": jnp.zeros(4)}, r"shift must have shape \(5,\), got \(4,\)"),
        (lambda p: p | {"shift": p["shift"] * jnp.nan}, "shift holds values that are not finite"),
        (lambda p: {k: v for k, v in p.items() if k != "root"}, r"missing \['root'\]"),
        (lambda p: p | {"more": jnp.zeros(1)}, r"unknown \['more'\]"),
    ],
)
def test_foreign_parameters_are_refused(change, message):
    network = CONVEX[1]
    parameters = shaken(network)
    check_parameters(network, parameters)
    with pytest.raises(ValueError, match=message):
        check_parameters(network, change(parameters))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (GaussianStart(np.eye(3), np.zeros(4)), "matrix must have shape"),
        (GaussianStart(-np.eye(4), np.zeros(4)), "positive semi-definite"),
        (GaussianStart(np.eye(4), np.zeros(3)), "shift must have shape"),
    ],
)
def test_bad_starts_are_refused(start, message):
    with pytest.raises(ValueError, match=message):
        started_at(quadratic_icnn(4, (8,)).init(KEY, jnp.zeros((2, 4))), start)


def test_start_needs_matching_points():
    with pytest.raises(ValueError, match=r"\(5, 3\) and \(5, 2\)"):
        GaussianStart.of(np.zeros((5, 3)), np.zeros((5, 2)))
