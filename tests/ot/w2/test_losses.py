"""Losses of potentials a |x|^2 / 2 and amortizers b y, where every gradient is known by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from otbench.ot.w2.enot import ExpectileLoss, PairParameters
from otbench.ot.w2.lbfgs import LBFGS
from otbench.ot.w2.losses import DualLoss, DualParameters
from otbench.ot.w2.mlp import quadratic_mlp, residual_map
from otbench.ot.w2.network import Network

pytestmark = pytest.mark.usefixtures("strict_promotion")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 3)), 2 * RNG.normal(size=(50, 3))
XX, YY = (X**2).sum(1).mean(), (Y**2).sum(1).mean()
A, B = 1.6, 0.9
PRECISE = LBFGS(tolerance=1e-5)


def bowl(dimension=3):
    return Network(
        dimension, lambda key, sample: {}, lambda p, x: 0.5 * p["a"] * jnp.sum(x * x, axis=-1)
    )


SCALING = Network(3, lambda key, sample: {}, lambda p, y: p["b"] * y)
PARAMETERS = DualParameters({"a": jnp.float32(A)}, {"b": jnp.float32(B)})


def gradients(loss, parameters=PARAMETERS):
    """Return parts, and the gradients of the loss in a and b."""
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)
    found, parts = jax.jit(jax.grad(loss, has_aux=True))(parameters, x, y)
    return parts, float(found.potential["a"]), float(found.amortizer["b"])


DUAL = A * XX / 2 + YY / (2 * A)
DUAL_SLOPE = XX / 2 - YY / (2 * A**2)


def test_dual_with_the_exact_conjugate():
    loss = DualLoss(bowl(), None, "none", PRECISE)
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)
    parameters = PARAMETERS._replace(amortizer={})
    found, parts = jax.jit(jax.grad(loss, has_aux=True))(parameters, x, y)
    np.testing.assert_allclose(parts["dual"], DUAL, rtol=1e-5)
    np.testing.assert_allclose(found.potential["a"], DUAL_SLOPE, rtol=1e-4)
    assert float(parts["residual_max"]) <= 1e-5
    assert float(parts["iterations"]) > 0


def test_regression_moves_the_amortizer_only():
    parts, a, b = gradients(DualLoss(bowl(), SCALING, "regression", PRECISE))
    np.testing.assert_allclose(parts["amortization"], (B - 1 / A) ** 2 * YY / 3, rtol=1e-4)
    np.testing.assert_allclose([a, b], [DUAL_SLOPE, 2 * (B - 1 / A) * YY / 3], rtol=1e-4)


def test_objective_with_a_solver():
    parts, a, b = gradients(DualLoss(bowl(), SCALING, "objective", PRECISE))
    np.testing.assert_allclose(parts["amortization"], (A * B**2 / 2 - B) * YY, rtol=1e-5)
    np.testing.assert_allclose([a, b], [DUAL_SLOPE, (A * B - 1) * YY], rtol=1e-4)


def test_objective_without_a_solver_takes_the_prediction():
    parts, a, b = gradients(DualLoss(bowl(), SCALING, "objective", None))
    np.testing.assert_allclose(parts["dual"], A * XX / 2 + (B - A * B**2 / 2) * YY, rtol=1e-5)
    np.testing.assert_allclose([a, b], [(XX - B**2 * YY) / 2, (A * B - 1) * YY], rtol=1e-4)
    residual = np.abs((A * B - 1) * Y).max(axis=1)
    np.testing.assert_allclose(
        [parts["residual_50"], parts["residual_90"], parts["residual_max"]],
        np.quantile(residual, [0.5, 0.9, 1.0]),
        rtol=1e-4,
    )


def test_cycle_with_a_solver_holds_the_potential():
    parts, a, b = gradients(DualLoss(bowl(), SCALING, "cycle", PRECISE))
    np.testing.assert_allclose(parts["amortization"], (A * B - 1) ** 2 * YY, rtol=1e-4)
    np.testing.assert_allclose([a, b], [DUAL_SLOPE, 2 * (A * B - 1) * A * YY], rtol=1e-4)


def test_cycle_without_a_solver_has_both_terms_and_trains_both():
    parts, a, b = gradients(DualLoss(bowl(), SCALING, "cycle", None, cycle_weight=6.0))
    both = XX + YY
    np.testing.assert_allclose(parts["amortization"], 2 * (A * B - 1) ** 2 * both, rtol=1e-4)
    slope = 4 * (A * B - 1) * both
    expected = [(XX - B**2 * YY) / 2 + slope * B, slope * A]
    np.testing.assert_allclose([a, b], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((bowl(), SCALING, "regression", None), "needs a conjugate solver"),
        ((bowl(), None, "none", None), "needs a conjugate solver"),
        ((bowl(), None, "objective"), "needs an amortizer"),
        ((bowl(2), SCALING), "of dimension 2, the amortizer of 3"),
        ((bowl(), SCALING, "newton"), "got 'newton'"),
    ],
)
def test_settings_without_sense_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        DualLoss(*arguments)


@pytest.mark.parametrize("tau", [1.0, 0.8])
def test_enot_against_its_formula_in_numpy(tau):
    """Value and gradients; what is held constant is held by separate copies of the parameters."""

    def direction(moving, moving_held, other, other_held, x, y):
        moved, held = moving * x, moving_held * x
        gain = other_held / 2 * (moved**2).sum(1) - (x * moved).sum(1)

        def conjugate(b):
            return b / 2 * (held**2).sum(1) - (x * held).sum(1)

        def at(b):
            return b / 2 * (y**2).sum(1)

        def l_tau(u):
            return np.where(u >= 0, tau, 1 - tau) * u**2

        pair = (x * y).sum(1)
        first = l_tau(conjugate(other_held) + pair - at(other))
        second = l_tau(pair - at(other_held) + conjugate(other))
        return (gain + at(other) - conjugate(other) + 0.3 * (first + second)).mean()

    def whole(a, b):
        return direction(a, A, b, B, X, Y) + direction(b, B, a, A, Y, X)

    loss = ExpectileLoss(bowl(), bowl(), tau, 0.3)
    parameters = PairParameters({"a": jnp.float32(A)}, {"a": jnp.float32(B)})
    (value, parts), found = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        parameters, jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)
    )
    np.testing.assert_allclose(value, whole(A, B), rtol=1e-5)
    np.testing.assert_allclose(parts["forward"], direction(A, A, B, B, X, Y), rtol=1e-5)
    step = 1e-5
    slopes = [
        (whole(A + step, B) - whole(A - step, B)) / (2 * step),
        (whole(A, B + step) - whole(A, B - step)) / (2 * step),
    ]
    np.testing.assert_allclose([found.f["a"], found.g["a"]], slopes, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((bowl(), bowl(), 0.0), "tau must lie"),
        ((bowl(), bowl(), 1.0, -1.0), "must not be negative"),
        ((bowl(2), bowl(3)), "f is of dimension 2, g of 3"),
    ],
)
def test_enot_refuses_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExpectileLoss(*arguments)


def test_both_losses_start_their_networks():
    sample = jnp.zeros((4, 3))
    key = jax.random.key(0)
    network = quadratic_mlp(3, (4,))
    dual = DualLoss(network, residual_map(3, (4,))).init(key, sample)
    assert dual.potential["kernel0"].shape == (3, 4)
    assert dual.amortizer["kernel1"].shape == (4, 3)
    pair = ExpectileLoss(network, network).init(key, sample)
    assert bool(jnp.any(pair.f["kernel0"] != pair.g["kernel0"]))
