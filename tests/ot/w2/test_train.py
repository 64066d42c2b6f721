"""Training against Gaussians' closed-form maps; schedules, averages, divergence, bad samplers."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from otbench.ot.gradients import gradient_of
from otbench.ot.training import Schedule
from otbench.ot.w2.enot import ExpectileLoss
from otbench.ot.w2.icnn import quadratic_icnn
from otbench.ot.w2.lbfgs import LBFGS
from otbench.ot.w2.losses import DualLoss, DualParameters
from otbench.ot.w2.mlp import quadratic_mlp, residual_map
from otbench.ot.w2.network import Network
from otbench.ot.w2.train import train

KEY = jax.random.key(0)
MATRIX = jnp.asarray([[1.5, 0.6], [0.6, 0.5]])
"""Symmetric and positive: the optimal map of N(0, I) to N(0, MATRIX^2)."""


def source(key):
    return jax.random.normal(key, (128, 2))


def target(key):
    return jax.random.normal(key, (128, 2)) @ MATRIX


def uvp(network, parameters):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2000, 2)), jnp.float32)
    moved = jax.jit(gradient_of(partial(network.apply, parameters)))(x)
    error = jnp.mean(jnp.sum((moved - x @ MATRIX) ** 2, 1))
    return 100 * float(error / jnp.trace(MATRIX @ MATRIX))


NETWORK = quadratic_mlp(2, (32, 32))


def last(steps):
    *_, final = steps
    return final


def test_enot_finds_the_gaussian_map():
    loss = ExpectileLoss(NETWORK, NETWORK)
    start = loss.init(KEY, jnp.zeros((2, 2)))
    assert uvp(NETWORK, start.f) > 20
    final = last(train(loss, start, source, target, Schedule(600, 5e-3), KEY))
    assert uvp(NETWORK, final.averaged.f) < 2
    assert uvp(NETWORK, final.parameters.f) < 2


@pytest.mark.slow
def test_dual_regression_finds_the_gaussian_map_and_the_dual_value():
    loss = DualLoss(
        NETWORK,
        residual_map(2, (32, 32), True),
        "regression",
        LBFGS(tolerance=0.02, max_iterations=10),
    )
    start = loss.init(KEY, jnp.zeros((2, 2)))
    reports = list(train(loss, start, source, target, Schedule(600, 4e-3), KEY))
    assert [report.done for report in reports] == list(range(100, 601, 100))
    assert uvp(NETWORK, reports[-1].parameters.potential) < 2
    # E f(X) + E f*(Y) is the greatest correlation of the two laws, here trace(MATRIX)
    assert reports[-1].parts["dual"] == pytest.approx(2.0, rel=0.05)
    assert reports[-1].parts["residual_50"] <= 0.02
    assert reports[-1].parts["residual_50"] <= reports[-1].parts["residual_max"]
    assert reports[-1].parts["amortization"] < reports[0].parts["amortization"]


def test_an_icnn_stays_convex():
    rng = np.random.default_rng(2)
    network = quadratic_icnn(2, (8, 8))
    loss = ExpectileLoss(network, network)
    start = loss.init(KEY, jnp.asarray(rng.normal(size=(64, 2)), jnp.float32))
    final = last(train(loss, start, source, target, Schedule(30, 2e-2), KEY, 30))
    assert float(final.parameters.f["output"].min()) == 0
    assert float(final.parameters.f["output"].max()) > 0


def ramp():
    """A loss whose gradient is 1 everywhere."""
    network = Network(2, lambda key, sample: {}, lambda p, x: p["a"] + 0 * x[:, 0])

    @jax.tree_util.register_static
    class Ramp:
        def project(self, parameters):
            return parameters

        def __call__(self, parameters, x, y):
            value = parameters.potential["a"] + 0 * jnp.sum(x) + 0 * jnp.sum(y)
            return value, {"value": value, "value_max": value}

    return Ramp(), DualParameters({"a": jnp.zeros(())}, {}), network


def test_average_and_reports():
    """Adam moves by the rate under a constant gradient: the average is known."""
    loss, start, _ = ramp()
    schedule = Schedule(20, 0.1, final_lr=1.0, warm_up=0.0, ema_decay=0.9)
    reports = list(train(loss, start, source, target, schedule, KEY, report_every=8))
    assert [report.done for report in reports] == [8, 16, 20]
    places = -0.1 * np.arange(1, 21)
    average = 0.0
    for t, place in enumerate(places):
        decay = min(0.9, t / (t + 1))
        average = decay * average + (1 - decay) * place
    np.testing.assert_allclose(reports[-1].averaged.potential["a"], average, rtol=1e-4)
    np.testing.assert_allclose(reports[-1].parameters.potential["a"], places[-1], rtol=1e-4)
    np.testing.assert_allclose(reports[1].parts["value"], np.mean(places[7:15]), rtol=1e-4)
    np.testing.assert_allclose(reports[1].parts["value_max"], places[7], rtol=1e-4)


def test_schedules():
    rates = Schedule(1000, 0.5, final_lr=0.01, warm_up=0.1).learning_rate()
    np.testing.assert_allclose(
        [rates(0), rates(50), rates(100), rates(550), rates(1000)],
        [0, 0.25, 0.5, 0.25 + 0.0025, 0.005],
        rtol=1e-5,
    )
    paper = Schedule(100, 5e-4, final_lr=1e-4, warm_up=0.0)
    reference = optax.cosine_decay_schedule(5e-4, 100, 1e-4)
    for step in (0, 30, 100):
        np.testing.assert_allclose(paper.learning_rate()(step), reference(step), rtol=1e-5)


def test_divergence_is_an_error_with_its_step():
    loss = ExpectileLoss(NETWORK, NETWORK)
    start = loss.init(KEY, jnp.zeros((2, 2)))
    with pytest.raises(FloatingPointError, match="diverged: parameters not finite at step 4"):
        last(train(loss, start, source, target, Schedule(8, 1e30, warm_up=0.0), KEY, 4))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda key: source(key) * jnp.nan, "source draws values that are not finite"),
        (lambda key: source(key)[:, 0], r"batches must have shape \(m, n\), got \(128,\)"),
        (lambda key: source(key)[:, :1], r"one dimension, got batches \(128, 1\) and \(128, 2\)"),
    ],
)
def test_bad_samplers_are_named(bad, message):
    loss, start, _ = ramp()
    with pytest.raises(ValueError, match=message):
        last(train(loss, start, bad, target, Schedule(1), KEY))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"lr": 0.0}, "lr positive"),
        ({"ema_decay": 1.0}, r"lie in \[0, 1\)"),
        ({"milestones": (1.0,)}, "milestones are shares"),
        ({"clip": -1.0}, "clip must not be negative"),
        ({"kind": "sgd"}, "kind must be 'adam' or 'muon'"),
        ({"kind": "muon", "matrices": 0.1}, "Muon gives matrices its own"),
    ],
)
def test_bad_schedules_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**{"steps": 1} | arguments)
