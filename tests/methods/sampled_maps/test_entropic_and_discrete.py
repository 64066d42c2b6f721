"""Maps from plans between samples, beside OTT-JAX, SciPy and the sample itself."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from otbench.conformance import TinyPair
from otbench.errors import UsageError
from otbench.interface.training import Budget, FitContext
from otbench.ot.w2.scores import uvp
from otbench_methods.sampled_maps.discrete import Discrete
from otbench_methods.sampled_maps.entropic import Entropic

PAIR = TinyPair()
X = PAIR.source(500, torch.Generator().manual_seed(5))
Y = PAIR.true_map(X)
REPORTS = []


@pytest.fixture(scope="module")
def entropic():
    method = Entropic(sample=128)
    method.fit(PAIR, FitContext(Budget(1, 1), on_progress=lambda *report: REPORTS.append(report)))
    return method


def test_entropic_is_ott_jaxs_map(entropic):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ott.geometry.pointcloud import PointCloud
        from ott.problems.linear.linear_problem import LinearProblem
        from ott.solvers.linear.sinkhorn import Sinkhorn

    x, y = (jnp.asarray(entropic.state_[side].numpy()) for side in ("source", "target"))
    geometry = PointCloud(x, y, epsilon=float(entropic.state_["epsilon"]))
    potentials = Sinkhorn()(LinearProblem(geometry)).to_dual_potentials()
    new, back = jnp.asarray(X.numpy()), jnp.asarray(Y.numpy())
    np.testing.assert_allclose(entropic.push(X), potentials.transport(new), atol=2e-3)
    moved_back = potentials.transport(back, forward=False)
    np.testing.assert_allclose(entropic.pull(Y), moved_back, atol=2e-3)
    # on the sample itself the dual is OTT-JAX's own cost, entropy relative to the marginals
    attained = entropic.dual_value(entropic.state_["source"], entropic.state_["target"])
    assert attained == pytest.approx(REPORTS[-1][-1]["half_squared_w2"], rel=2e-3)


def test_entropic_comes_near_the_true_map(entropic):
    assert uvp(X.numpy(), Y.numpy()) > 50
    assert uvp(entropic.push(X).numpy(), Y.numpy()) < 15
    assert uvp(entropic.pull(Y).numpy(), X.numpy()) < 15


@pytest.mark.parametrize("bad", [{"epsilon": 0.0}, {"iterations": 0}, {"sample": 1}])
def test_bad_parameters_are_refused(bad):
    with pytest.raises(UsageError):
        Entropic(**bad)


def test_discrete_is_the_optimal_assignment_carried_to_neighbours():
    reports = []
    ctx = FitContext(Budget(1, 1), on_progress=lambda *report: reports.append(report[-1]))
    method = Discrete(sample=100)
    method.fit(PAIR, ctx)
    x, y = (method.state_[side].numpy().astype(float) for side in ("source", "target"))
    cost = ((x[:, None] - y[None]) ** 2).sum(-1)
    rows, columns = linear_sum_assignment(cost)
    assert reports[-1]["half_squared_w2"] == pytest.approx(cost[rows, columns].mean() / 2)
    np.testing.assert_allclose(method.push(method.state_["source"]), y[columns], atol=1e-5)
    np.testing.assert_allclose(method.pull(method.state_["target"])[columns], x, atol=1e-5)
    nearest = ((X.numpy()[:, None] - x[None]) ** 2).sum(-1).argmin(1)
    np.testing.assert_allclose(method.push(X), y[columns][nearest], atol=1e-5)
