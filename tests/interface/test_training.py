"""Budget, streams, randomness and progress."""

from __future__ import annotations

import itertools

import pytest
import torch

from otbench.interface.training import Budget, Diverged, FitContext


def test_steps_end_with_the_budget() -> None:
    assert list(FitContext(Budget(steps=3)).steps()) == [0, 1, 2]


def test_seconds_are_a_cap() -> None:
    assert list(FitContext(Budget(steps=1000, seconds=-1.0)).steps()) == []


def test_each_epoch_of_a_stream_holds_every_item_once() -> None:
    ctx = FitContext(Budget(steps=1, batch_size=4))
    batches = list(itertools.islice(ctx.stream(torch.arange(10)), 5))
    drawn = torch.cat(batches)
    assert all(len(batch) == 4 for batch in batches)
    assert sorted(drawn[:10].tolist()) == sorted(drawn[10:].tolist()) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:].tolist()


def test_a_stream_repeats_a_set_smaller_than_a_batch() -> None:
    ctx = FitContext(Budget(steps=1, batch_size=8))
    assert len(next(ctx.stream(torch.arange(3)))) == 8


def test_axes_are_independent_and_repeatable() -> None:
    def first(axis: str, seed: int = 0) -> list[int]:
        stream = FitContext(Budget(1, 6), seed=seed).stream(torch.arange(100), axis)
        return next(stream).tolist()

    assert first("a") == first("a")
    assert first("a") != first("b")
    assert first("a") != first("a", seed=1)


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    ctx = FitContext(Budget(steps=1))
    with pytest.raises(Diverged, match="'bce' became nan at step 1"):
        ctx.progress(0, bce=torch.tensor(float("nan")))


def test_progress_reaches_the_callback_at_the_last_step() -> None:
    seen = []
    ctx = FitContext(Budget(steps=2), on_progress=lambda *report: seen.append(report))
    for step in ctx.steps():
        ctx.progress(step, loss=1.5)
    assert seen[-1][:2] == (2, 2)
    assert seen[-1][3] == {"loss": 1.5}


def test_the_last_step_is_reported_at_once_and_then_no_more_often_than_others() -> None:
    seen: list[tuple] = []
    ctx = FitContext(Budget(steps=2), on_progress=lambda *report: seen.append(report[3]))
    for value in range(1000):
        ctx.progress(1, loss=float(value))
    assert seen == [{"loss": 0.0}]
    # And what it came to in the end is not lost.
    for _ in range(2):
        ctx.report_held_back()
        assert seen == [{"loss": 0.0}, {"loss": 999.0}]
    # A training in two parts ends twice.
    ctx.progress(0, loss=1.0)
    ctx.progress(1, loss=2.0)
    assert seen[-1] == {"loss": 2.0}
    with pytest.raises(Diverged):
        ctx.progress(1, loss=float("inf"))


def test_paused_time_does_not_count() -> None:
    ctx = FitContext(Budget(steps=1))
    before = ctx.seconds
    with ctx.paused():
        torch.rand(300, 300) @ torch.rand(300, 300)
        for _ in range(10_000):
            pass
    assert ctx.seconds - before < 0.05
