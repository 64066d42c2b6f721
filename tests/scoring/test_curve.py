"""A map's error over the seconds of its training: when it is looked at, what that costs."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
import torch
from torch import Tensor

from otbench.conformance import TinyPair, tiny_images
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import Budget, FitContext
from otbench.scoring.curve import CHECKPOINTS, POINTS, Curve, map_curve
from otbench.scoring.kinds import kind_of
from otbench_datasets.point_pairs.plane import Plane

PAIR = TinyPair()


class Nearing:
    """Goes a share of the way from the target's mean to where points belong."""

    share = 0.0

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return PAIR.shift + self.share * (PAIR.true_map(x) - PAIR.shift)


def curve(steps: int = 5000, points: list[Any] | None = None) -> Curve:
    made = map_curve(PAIR, ScoreContext(torch.device("cpu"), 0, PAIR), steps, points or [])
    assert made is not None
    return made


@pytest.mark.parametrize(("steps", "every"), [(5000, 100), (250_001, 100), (600, 100), (3000, 1)])
def test_checkpoints_are_few_and_even_on_the_logarithm(steps: int, every: int) -> None:
    followed = curve(steps)
    for step in range(every, steps + 1, every):
        if followed.due(step):
            followed.evaluate(step, float(step), Nearing())
    at = [point["step"] for point in followed.points]
    assert at[0] == every
    assert at[-1] < steps
    assert min(5, steps // every - 1) <= len(at) <= CHECKPOINTS
    ratio = (steps / every) ** (1 / (CHECKPOINTS - 1))
    assert all(ratio * a <= b < ratio * a + every for a, b in itertools.pairwise(at))


def test_the_error_is_the_unexplained_variance() -> None:
    followed, method = curve(), Nearing()
    for step, share in ((100, 0.0), (1000, 0.5)):
        method.share = share
        followed.evaluate(step, step / 10, method)
    method.share = 1.0
    followed.finish(5000, 500.0, method)
    # what is left of each displacement from the mean is 1 - share, and the variance its square
    assert [p["uvp"] for p in followed.points] == pytest.approx([100, 25, 0], abs=0.2)
    assert [p["seconds"] for p in followed.points] == [10, 100, 500]
    assert len(followed._source) == POINTS


def test_the_end_takes_the_place_of_a_checkpoint_at_the_same_step() -> None:
    followed = curve(100)
    followed.evaluate(100, 1.0, Nearing())
    followed.finish(100, 1.5, Nearing())
    assert [(p["step"], p["seconds"]) for p in followed.points] == [(100, 1.5)]


def test_a_method_that_offers_nothing_has_no_curve() -> None:
    followed = curve()
    followed.finish(5000, 1.0, Nearing())
    assert followed.points == []


def test_a_map_that_cannot_be_scored_leaves_a_gap_and_is_not_asked_at_every_step() -> None:
    class Broken(Nearing):
        def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
            if self.share == 0:
                return x * float("nan")
            raise RuntimeError("not yet")

    followed, method = curve(), Broken()
    followed.evaluate(100, 1.0, method)
    method.share = 1.0
    assert not followed.due(101)
    followed.evaluate(200, 2.0, method)
    followed.finish(300, 3.0, Nearing())
    assert [point["step"] for point in followed.points] == [300]


def test_only_known_maps_can_be_followed() -> None:
    for data in (Plane().load(), tiny_images()):
        ctx = ScoreContext(torch.device("cpu"), 0, data)
        assert kind_of(data).curve(data, ctx, 100, []) is None


class Slow:
    """Evaluates every second step, for a while."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def due(self, step: int) -> bool:
        return step % 2 == 0

    def evaluate(self, step: int, seconds: float, method: Any) -> None:
        self.seen.append((step, seconds))
        time.sleep(0.3)


def test_the_clock_stands_still_during_an_evaluation() -> None:
    monitor = Slow()
    ctx = FitContext(Budget(steps=4), monitor=monitor)
    started = time.perf_counter()
    for step in ctx.steps():
        ctx.checkpoint(step + 1, None)
    assert [step for step, _ in monitor.seen] == [2, 4]
    assert time.perf_counter() - started > 0.6
    assert ctx.seconds == pytest.approx(time.perf_counter() - started - 0.6, abs=0.25)
    assert monitor.seen[1][1] < 0.25


def test_without_a_monitor_a_checkpoint_does_nothing() -> None:
    FitContext(Budget(steps=1)).checkpoint(1, None)
