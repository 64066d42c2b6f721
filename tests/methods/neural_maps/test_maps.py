"""Maps against the closed form between Gaussian laws; what is saved, refused and reported."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from otbench.conformance import TinyPair
from otbench.errors import DataError, UsageError
from otbench.interface.saving import SETTINGS, WEIGHTS
from otbench.interface.training import Budget, Diverged, FitContext
from otbench.ot.w2.brenier_map import BrenierMap
from otbench.ot.w2.network import count
from otbench.ot.w2.scores import uvp
from otbench_methods.neural_maps.enot import ENOT
from otbench_methods.neural_maps.w2_amortized import W2Amortized
from otbench_methods.sampled_maps.linear import Constant, Identity, Linear
from tests.methods.neural_maps.spoiling import replace_weights

pytestmark = pytest.mark.usefixtures("compile_quickly")

PAIR = TinyPair()
X = PAIR.source(2000, torch.Generator().manual_seed(5))
Y = PAIR.true_map(X)
SMALL = {"hidden": (16, 16), "batch": 64, "potential": "quadratic"}
BURES = {"potential": "icnn", "start": "bures"}
STILL = SMALL | {"lr": 1e-12}
"""Hardly trains: what comes out is where the networks start."""


class CompiledPair(TinyPair):
    """The same laws, drawn inside the compiled step alone."""

    def source(self, n, generator):
        raise AssertionError("drawn outside the compiled step")

    def jax_samplers(self):
        matrix, shift = jnp.asarray(self.matrix.numpy()), jnp.asarray(self.shift.numpy())
        return (
            lambda key, n: jax.random.normal(key, (n, 2)),
            lambda key, n: jax.random.normal(key, (n, 2)) @ matrix + shift,
        )


def fitted(method, steps=1, data=PAIR, seconds=None, reports=None):
    def keep(step, steps, seconds, losses):
        reports.append((step, losses))

    ctx = FitContext(
        Budget(steps, 64, seconds), 0, on_progress=keep if reports is not None else None
    )
    method.fit(data, ctx)
    return method


def error_of(points, truth):
    return uvp(points.numpy(), truth.numpy())


def test_linear_is_the_closed_form():
    reports = []
    method = fitted(Linear(), reports=reports)
    assert error_of(method.push(X), Y) < 0.02
    assert error_of(method.pull(method.push(X)), X) < 1e-6
    assert reports[-1][1]["half_squared_w2"] == pytest.approx(PAIR.squared_w2() / 2, rel=0.02)
    # on points and their images the dual of these potentials is attained
    paired = 0.5 * (X - Y).square().sum(dim=1).double().mean().item()
    assert method.dual_value(X, Y) == pytest.approx(paired, rel=0.01)


def test_identity_and_constant():
    assert torch.equal(Identity().push(X), X)
    assert torch.equal(Identity().pull(Y), Y)
    assert error_of(fitted(Constant()).push(X), Y) == pytest.approx(100, rel=0.01)
    assert error_of(fitted(Constant()).pull(Y), X) == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize(
    "method",
    [
        ENOT(**SMALL, lr=1e-2),
        W2Amortized(**SMALL, lr=1e-2, amortization="cycle", conjugate="none"),
        pytest.param(W2Amortized(**SMALL, lr=1e-2), marks=pytest.mark.slow),
        pytest.param(
            W2Amortized(**SMALL, lr=1e-2, amortization="objective", conjugate="adam"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            W2Amortized(**SMALL | BURES, lr=1e-2, amortization="none"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["enot", "cycle", "regression", "objective", "icnn"],
)
def test_training_finds_map_inverse_and_distance(method):
    fitted(method, 500, CompiledPair())
    assert error_of(X, Y) > 50
    assert error_of(method.push(X), Y) < 3
    assert error_of(method.pull(Y), X) < 8
    truth = 0.5 * (X - Y).square().sum(dim=1).mean().item()
    assert method.dual_value(X, Y) == pytest.approx(truth, rel=0.05)


@pytest.fixture(scope="module")
def bures(compile_quickly):
    """Return ENOT with convex potentials that are, but for one tiny step, the closed form."""
    return fitted(ENOT(**STILL | BURES))


def test_without_training_a_map_is_its_start(bures):
    assert error_of(bures.push(X), Y) < 0.2


def test_solving_inverts_what_pushing_does(bures):
    found = bures.map_.conjugate(Y)
    assert float(found.residual.max()) <= 1e-3
    assert (bures.push(bures.map_.solve(Y)) - Y).abs().max() < 2e-3
    # 2000 points are more than are compiled for and are cut up, 7 are fewer and are padded
    torch.testing.assert_close(bures.map_.solve(Y[:7]), bures.map_.solve(Y)[:7], atol=1e-4, rtol=0)


def test_pretraining_teaches_the_identity():
    method = ENOT(**STILL | {"potential": "mlp"}, pretraining=400, bound=3.0)
    loss, view = method._build(2)
    start = BrenierMap(view, loss.init(jax.random.key(0), jnp.zeros((2, 2))), method._solver())
    assert error_of(start.push(X), X) > 10
    fitted(method, data=CompiledPair())
    assert error_of(method.push(X), X) < 2
    assert error_of(method.pull(X), X) < 2


def test_the_papers_networks_have_the_papers_sizes():
    """Parameter counts of the release's networks (potential, amortizer) by dimension."""
    for dimension, mlp, icnn, amortizer in ((2, 6466, 6852, 6498), (16, 7362, 9106, 7856)):
        paper = W2Amortized.card.paper.parameters
        for name, expected in (("mlp", mlp), ("icnn", icnn)):
            loss, _ = W2Amortized(**paper | {"potential": name})._build(dimension)
            parameters = jax.eval_shape(loss.init, jax.random.key(0), jnp.ones((4, dimension)))
            assert count(parameters.potential) == expected
            assert count(parameters.amortizer) == amortizer


def test_the_budgets_seconds_end_training():
    reports = []
    fitted(ENOT(**SMALL), 1_000_000, CompiledPair(), seconds=1e-3, reports=reports)
    assert [step for step, _ in reports] == [100]


def test_divergence_is_named():
    with pytest.raises(Diverged, match=r"not finite at step 8|became"):
        fitted(ENOT(**SMALL | {"lr": 1e30}), 8)


def broken(side, values):
    class Broken(TinyPair):
        pass

    setattr(Broken, side, lambda self, n, generator: values(n))
    return Broken()


@pytest.mark.parametrize("method", [Linear(), ENOT(**SMALL)])
@pytest.mark.parametrize(
    ("side", "values", "message"),
    [
        ("source", lambda n: torch.full((n, 2), float("nan")), "source of gaussians .* not finite"),
        ("target", lambda n: torch.zeros(n, 3), r"target of gaussians .*\(\d+, 3\), wanted"),
    ],
)
def test_bad_samplers_are_named(method, side, values, message):
    with pytest.raises(DataError, match=message):
        fitted(method, data=broken(side, values))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: W2Amortized(conjugate="none"), "needs a conjugate solver"),
        (lambda: W2Amortized(conjugate="newton"), "one of lbfgs"),
        (lambda: W2Amortized(amortization="both"), "one of regression"),
        (lambda: ENOT(potential="unet"), "one of quadratic, mlp, icnn"),
        (lambda: ENOT(start="bures"), "for potential=icnn"),
        (lambda: ENOT(bound=0.0), "bound must be above 0"),
        (lambda: Linear(sample=1), "at least 2"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_points_of_another_dimension_are_refused(bures):
    with pytest.raises(ValueError, match=r"shape \(m, 2\).*got \(4, 3\)"):
        bures.push(torch.zeros(4, 3))


@pytest.fixture
def saved(bures, tmp_path: Path) -> Path:
    bures.save(tmp_path)
    return tmp_path


def test_parameters_and_weights_come_back(saved: Path):
    loaded = ENOT.load(saved)
    assert loaded == ENOT(**STILL | BURES)
    loaded.save(saved / "again")
    first, second = load_file(saved / WEIGHTS), load_file(saved / "again" / WEIGHTS)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a | {"f.output": a["f.output"] - 1}, "f: output holds negative weights"),
        (lambda a: a | {"g.bias0": a["g.bias0"][:3]}, r"g: bias0 must have shape \(16,\)"),
        (lambda a: a | {"g.bias0": a["g.bias0"] * np.nan}, "not finite"),
        (lambda a: a | {"h.bias0": a["g.bias0"]}, "wanted arrays of f and g"),
        (lambda a: {k: v for k, v in a.items() if k != "f.root"}, r"missing \['root'\]"),
    ],
)
def test_spoilt_weights_are_refused(saved: Path, spoil, message):
    replace_weights(saved, spoil(load_file(saved / WEIGHTS)))
    with pytest.raises(ValueError, match=message):
        ENOT.load(saved)


def test_what_is_no_weights_file_is_refused(saved: Path):
    replace_weights(saved, b"junk")
    with pytest.raises(ValueError, match="holds no weights"):
        ENOT.load(saved)
    settings = json.loads((saved / SETTINGS).read_text())
    assert settings["state"]["dimension"] == 2
