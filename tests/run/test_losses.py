"""Losses of a long training make no large file, and its ends are kept."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from otbench.run import losses
from otbench.run.losses import LONGEST_NAME, NAMES, POINTS, Losses, Series


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000))
def test_a_series_keeps_its_ends_and_is_evenly_thinned(n: int) -> None:
    series = Series()
    for step in range(n):
        series.add(step, step / 2)
        assert len(series.points) <= POINTS
    steps = [int(step) for step, _ in series.points]
    assert (steps[0], steps[-1]) == (0, n - 1)
    assert len(steps) == n if n < POINTS else len(steps) >= POINTS // 2
    # The last one may stand closer.
    assert steps[:-1] == list(range(n))[:: steps[1] if n > 1 else 1][: len(steps) - 1]
    assert all(value == step / 2 for step, value in series.points)


def test_names_are_capped_and_cleaned() -> None:
    kept = Losses()
    for step in range(3 * NAMES):
        kept.add(step, {f"loss at {step}": 1.0})
    assert len(kept.points()) == NAMES
    assert kept.add(0, {"loss at 0": 2.0, "new": 3.0}) == {"loss at 0": 2.0}
    (name,) = Losses().add(0, {"\x1b[31m\udcff" + "a" * 1000: 1.0})
    assert len(name) == LONGEST_NAME
    assert name.isprintable()


def test_a_worst_case_fits_into_a_record() -> None:
    import json

    kept = Losses()
    for step in range(3):
        kept.add(step, dict.fromkeys(map(str, range(NAMES)), 0.1234567890123456))
    one = len(json.dumps(kept.points())) / (3 * NAMES)
    assert one * NAMES * losses.POINTS < 10e6
