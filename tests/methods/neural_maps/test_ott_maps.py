"""OTT-JAX's own maps as baselines: closed forms, OTT itself, budgets, what is refused."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from otbench.conformance import TinyPair
from otbench.errors import UsageError
from otbench.interface.saving import WEIGHTS
from otbench.interface.training import Budget, Diverged, FitContext
from otbench.ot.w2.scores import uvp
from otbench_methods.neural_maps import ott_neural as shared
from otbench_methods.neural_maps.monge_gap import MongeGap
from otbench_methods.neural_maps.w2_ott import W2OTT
from otbench_methods.sampled_maps.entropic import Entropic
from otbench_methods.sampled_maps.progot import ProgOT
from tests.methods.neural_maps.spoiling import replace_weights

pytestmark = pytest.mark.usefixtures("compile_quickly")
needs_flax = pytest.mark.skipif(
    shared.missing_extra() is not None, reason="OTT's neural part needs flax and diffrax"
)

PAIR = TinyPair()
X = PAIR.source(1000, torch.Generator().manual_seed(5))
Y = PAIR.true_map(X)
SMALL = {"hidden": (16, 16), "batch": 64}
UNSOLVED = {"amortization": "objective", "conjugate": "none"}


class CompiledPair(TinyPair):
    """The same laws, drawn inside the compiled step."""

    def jax_samplers(self):
        matrix, shift = jnp.asarray(self.matrix.numpy()), jnp.asarray(self.shift.numpy())
        return (
            lambda key, n: jax.random.normal(key, (n, 2)),
            lambda key, n: jax.random.normal(key, (n, 2)) @ matrix + shift,
        )


def fitted(method, steps=1, seconds=None, reports=None):
    def keep(step, steps, seconds, losses):
        reports.append((step, losses))

    budget = Budget(steps, 64, seconds)
    method.fit(
        CompiledPair(), FitContext(budget, 0, on_progress=keep if reports is not None else None)
    )
    return method


def error_of(points, truth):
    return uvp(points.numpy(), truth.numpy())


@needs_flax
@pytest.mark.parametrize(
    ("method", "steps", "parts"),
    [
        pytest.param(
            W2OTT(**SMALL, lr=1e-2), 150, {"dual", "amortization"}, marks=pytest.mark.slow
        ),
        (MongeGap(**SMALL, lr=1e-2), 100, {"divergence", "gap"}),
    ],
    ids=["w2-ott", "monge-gap"],
)
def test_training_finds_the_map(method, steps, parts):
    reports = []
    fitted(method, steps, reports=reports)
    assert reports[-1][0] == steps
    assert set(reports[-1][1]) == parts
    assert error_of(X, Y) > 50
    assert error_of(method.push(X), Y) < 8
    if isinstance(method, W2OTT):
        assert error_of(method.pull(Y), X) < 15
        half = (X - Y).square().sum(dim=1).double().mean().item() / 2
        assert method.dual_value(X, Y) == pytest.approx(half, rel=0.15)


@needs_flax
def test_what_is_saved_comes_back_and_is_checked(tmp_path: Path):
    reports = []
    # three updates at most, which stand for the budget's twelve
    method = fitted(W2OTT(**SMALL, **UNSOLVED, updates=3), 12, reports=reports)
    assert {step for step, _ in reports} <= {4, 8, 12}
    assert reports[-1][0] == 12
    assert set(reports[-1][1]) == {"dual"}
    assert not torch.equal(method.pull(Y), method.push(Y))
    method.save(tmp_path)
    loaded = W2OTT.load(tmp_path)
    assert loaded == method
    assert torch.equal(loaded.push(X), method.push(X))
    assert torch.equal(loaded.pull(Y), method.pull(Y))
    weights = load_file(tmp_path / WEIGHTS)
    name = sorted(weights)[0]
    replace_weights(tmp_path, weights | {name: weights[name][:1]})
    with pytest.raises(ValueError, match="must have shape"):
        W2OTT.load(tmp_path)


@needs_flax
@pytest.mark.slow
def test_a_gaussian_start_is_the_closed_form_map():
    """Up to the quadratic terms in OTT's hidden layers, which are there from the start."""
    method = fitted(W2OTT(**SMALL, **UNSOLVED, potential="icnn", start="bures", lr=1e-12))
    assert error_of(X, Y) > 50
    assert error_of(method.push(X), Y) < 1
    assert error_of(method.pull(Y), X) < 10


@needs_flax
def test_the_budgets_seconds_end_training_with_a_map():
    reports = []
    method = fitted(MongeGap(**SMALL, updates=0), 100_000, seconds=1e-3, reports=reports)
    assert [step for step, _ in reports] == [1]
    assert torch.isfinite(method.push(X)).all()
    assert sys.modules.get("tqdm", sys) is not None


@needs_flax
def test_divergence_is_named():
    with pytest.raises(Diverged, match=r"not finite|became"):
        fitted(W2OTT(**SMALL, **UNSOLVED, lr=1e30), 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: W2OTT(conjugate="none"), "amortization=regression learns the solver's points"),
        (lambda: W2OTT(**UNSOLVED, back_and_forth=True), "hence conjugate=lbfgs"),
        (lambda: W2OTT(potential="conv"), "one of mlp, icnn"),
        (lambda: W2OTT(amortization="cycle"), "one of regression, objective"),
        (lambda: W2OTT(conjugate="adam"), "one of lbfgs, none"),
        (lambda: W2OTT(start="bures"), "for potential=icnn"),
        (lambda: W2OTT(conjugate_tolerance=0.0), "conjugate_tolerance must be above 0"),
        (lambda: W2OTT(activation="relu"), "one of own, elu, softplus"),
        (lambda: W2OTT(hidden=()), "hidden must name at least one value"),
        (lambda: MongeGap(lr=0.0), "lr must be above 0"),
        (lambda: MongeGap(strength=-1.0), "strength must be at least 0"),
        (lambda: MongeGap(gap_epsilon=0.0), "gap_epsilon must be above 0"),
        (lambda: ProgOT(steps=0), "steps must be at least 1"),
        (lambda: ProgOT(first_epsilon=0.0), "first_epsilon must be above 0"),
        (lambda: ProgOT(epsilon=0.0), "epsilon must be above 0"),
        (lambda: ProgOT(schedule="cosine"), "one of lin, exp, quad"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("method", [W2OTT(**SMALL), MongeGap(**SMALL)])
def test_without_flax_the_method_is_skipped_with_the_remedy(method, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "flax" else found(name)
    )
    assert "pip install 'otbench-suite[neural]'" in method.skip(PAIR)
    with pytest.raises(UsageError, match=r"flax not installed: .*\[neural\]"):
        fitted(method)


def drawn_states(method):
    method.fit(PAIR, FitContext(Budget(1, 1)))
    return method


@pytest.mark.parametrize(("release", "steps"), [(True, 3), (False, 2)])
def test_progot_is_ott_jaxs(release, steps):
    """The released solver at any number of steps; ours agrees with it up to two."""
    method = drawn_states(ProgOT(sample=64, steps=steps, release=release))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ott.geometry.pointcloud import PointCloud
        from ott.problems.linear.linear_problem import LinearProblem
        from ott.tools import progot

    x, y = (jnp.asarray(method.state_[side].numpy()) for side in ("source", "target"))
    pace = progot.get_alpha_schedule("lin", num_steps=steps)
    np.testing.assert_allclose(method.state_["pace"], pace, rtol=1e-6)
    solver = progot.ProgOT(pace, epsilons=jnp.asarray(method.state_["epsilons"].numpy()))
    for points, start, end, moved in ((X, x, y, method.push(X)), (Y, y, x, method.pull(Y))):
        found = solver(LinearProblem(PointCloud(start, end)), max_iterations=2000)
        _, theirs = found.transport(jnp.asarray(points.numpy()))
        np.testing.assert_allclose(moved, theirs, atol=5e-3)


def test_one_step_is_the_entropic_map():
    one = drawn_states(ProgOT(sample=64, steps=1, first_epsilon=0.05))
    entropic = drawn_states(Entropic(sample=64))
    torch.testing.assert_close(one.push(X), entropic.push(X), atol=2e-3, rtol=0)
    torch.testing.assert_close(one.pull(Y), entropic.pull(Y), atol=2e-3, rtol=0)


def test_steps_move_on_to_the_target_with_less_entropy():
    method = drawn_states(ProgOT(sample=256, steps=4))
    mean_cost = torch.cdist(method.state_["source"], method.state_["target"]).square().mean()
    shares = method.state_["epsilons"] / mean_cost
    # An even pace: a quarter of the way a step.
    torch.testing.assert_close(shares, torch.tensor([0.05, 0.04, 0.03, 0.02]), atol=1e-4, rtol=0)
    assert error_of(method.push(X), Y) < 15
    assert error_of(method.pull(Y), X) < 15
