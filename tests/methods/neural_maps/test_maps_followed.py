"""Maps of trained potentials on their way: their error over time, and the potential itself."""

from __future__ import annotations

import itertools

import pytest
import torch

from otbench.conformance import TinyPair
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import Budget, FitContext
from otbench.scoring.curve import map_curve
from otbench_methods.neural_maps.enot import ENOT

PAIR = TinyPair()


@pytest.mark.usefixtures("compile_quickly")
def test_a_training_is_followed_and_the_potential_is_the_map_s() -> None:
    scoring = ScoreContext(torch.device("cpu"), 0, PAIR, sample=512)
    trained = []
    for watched in (False, True):
        curve = map_curve(PAIR, scoring, 400, []) if watched else None
        ctx = FitContext(Budget(400, 64), monitor=curve)
        method = ENOT(hidden=(16, 16), batch=64, lr=1e-2)
        method.fit(PAIR, ctx)
        trained.append(method)
    assert curve is not None
    curve.finish(400, ctx.seconds, method)
    points = curve.points
    assert [point["step"] for point in points] == [100, 200, 300, 400]
    assert all(a["seconds"] < b["seconds"] for a, b in itertools.pairwise(points))
    assert points[-1]["uvp"] < 0.5 * points[0]["uvp"]
    x = PAIR.source(64, torch.Generator().manual_seed(0))
    assert torch.equal(trained[0].push(x), trained[1].push(x)), "looking disturbed the training"

    values, step = method.potential_value(x), 1e-2
    assert values.shape == (64,)
    for axis in range(2):
        off = step * torch.eye(2)[axis]
        slope = (method.potential_value(x + off) - method.potential_value(x - off)) / (2 * step)
        torch.testing.assert_close(slope, method.push(x)[:, axis], atol=5e-3, rtol=1e-2)
