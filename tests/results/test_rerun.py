"""Whether a run on another machine came to what was printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from otbench.cli.main import main
from otbench.results.rerun import agreement
from otbench.results.tables import load_results
from tests.results.small import ROW, make_cell, write_record

LEVELS = {"ae": 1.0, "vae": 2.0, "acai": 3.0}


def write(out: Path, levels: dict[str, float], noise: float, seed: int, lost: int = 0) -> Path:
    """Write five seeds of each method, at its level and a little beside it."""
    generator = np.random.default_rng(seed)
    for method, level in levels.items():
        for number in range(5):
            content = {"status": "diverged", "reason": "nan"} if number < lost else {}
            row = ROW | {"value": level + noise * generator.normal()}
            size = ROW | {"text": "code-dim", "metric": "code_dim", "value": 256.0}
            write_record(out, make_cell(method=method, seed=number), rows=[row, size], **content)
    return out


def test_a_rerun_of_the_same_law_is_within(tmp_path: Path) -> None:
    first, second = (load_results(write(tmp_path / str(s), LEVELS, 0.01, s)) for s in (1, 2))
    found = agreement(first, second)
    assert (found.means, found.means_within) == (3, 3)
    assert (found.trainings, found.trainings_within) == (15, 15)
    assert found.lost == (0, 0)
    # All codes have one size: there is nothing to rank, and nothing to be within.
    assert found.orders["tau"].isna().tolist() == [False, True]
    assert found.tau == 1


def test_values_that_moved_are_outside_and_orders_turn(tmp_path: Path) -> None:
    moved = {"ae": 2.5, "vae": 2.0, "acai": 1.0}
    first = load_results(write(tmp_path / "a", LEVELS, 0.01, 1))
    second = load_results(write(tmp_path / "b", moved, 0.01, 2, lost=2))
    found = agreement(first, second)
    assert (found.means, found.means_within) == (3, 1)
    assert (found.trainings, found.trainings_within) == (9, 3)
    assert found.lost == (0, 6)
    assert found.tau == -1


def test_the_intervals_hold_what_they_say() -> None:
    """At five seeds a mean lies within the interval of another in 1 - 2 F(-t / sqrt 2)."""
    from scipy import stats

    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 4000, 5))
    half = stats.t.ppf(0.975, 4) * a.std(1, ddof=1) / 5**0.5
    inside = (abs(a.mean(1) - b.mean(1)) <= half).mean()
    wanted = 1 - 2 * stats.t.sf(stats.t.ppf(0.975, 4) / 2**0.5, 4)
    assert inside == pytest.approx(wanted, abs=0.02)
    one = abs(b[:, 0] - a.mean(1)) <= half * 6**0.5
    assert one.mean() == pytest.approx(0.95, abs=0.015)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(write(tmp_path / str(s), LEVELS, 0.01, s)) for s in (1, 2)]
    assert main(["compare", *folders, "--rerun"]) == 0
    said = capsys.readouterr().out
    assert "values within the printed interval: 3 of 3 (100%)" in said
    assert "trainings within the interval of one more: 15 of 15 (100%)" in said
    assert "mean Kendall tau: 1.00" in said
    assert main(["compare", *folders, "--rerun", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["means_within"] == 3
    other = write(tmp_path / "other", {"w2-icnn": 1.0}, 0.01, 3)
    assert main(["compare", folders[0], str(other), "--rerun"]) == 2
    assert "share no number of a trained method" in capsys.readouterr().err
    assert main(["compare", "ae", "vae", "--rerun"]) == 2
    assert "name both" in capsys.readouterr().err
