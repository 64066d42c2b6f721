"""The reference runs that are installed with the suite, and the spread taken from them."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from otbench.cli.main import main
from otbench.report.terminal import print_tables
from otbench.results import shipped
from otbench.results.shipped import folder, shipped_names, shipped_runs, spread_of
from otbench.results.statistics import prediction
from otbench.results.tables import leaderboard, load_results
from tests.results.small import ROW, make_cell, write_record

VALUES = [0.5, 0.52, 0.47, 0.55, 0.51, 0.49]
BOARDS = Path(__file__).parents[2] / "results"


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship six seeds of `ae`, and three of `vae`, that lost one more."""
    out, place = tmp_path / "reference-runs", tmp_path / "shipped"
    for seed, value in enumerate(VALUES):
        write_record(out, make_cell(seed=seed), rows=[ROW | {"value": value}])
    for seed in range(4):
        lost = {"status": "collapsed", "reason": "no variance"} if seed == 3 else {}
        write_record(out, make_cell(method="vae", seed=seed), **lost)
    assert main(["leaderboard", str(out), "--raw", str(place)]) == 0
    monkeypatch.setattr(shipped, "folder", lambda: place)
    shipped._spreads.cache_clear()
    yield place
    shipped._spreads.cache_clear()


def test_the_raw_rows_are_the_long_table_again(reference: Path, tmp_path: Path) -> None:
    assert shipped_names() == ["digits"]
    found = shipped_runs("digits")
    known = load_results(tmp_path / "reference-runs")
    order = ["method", "seed", "metric"]
    for column in found:
        ours, theirs = (
            [None if pd.isna(value) else value for value in t.sort_values(order)[column]]
            for t in (found, known)
        )
        assert ours == theirs, column
    about = pd.read_json(reference / "digits.json", typ="series")
    (command,) = about["commands"]
    assert command.startswith("otbench run --methods ae vae --dataset digits --preset quick")
    assert command.endswith("--seeds 6")
    assert about["machine"]["processor"]
    assert "python" not in about["machine"]


def test_the_spread_is_that_of_two_trainings(reference: Path) -> None:
    """With 95 %, another training lies this near to the one that there is."""
    spread = spread_of(load(reference, "ae"))
    assert spread is not None
    wanted = stats.t.ppf(0.975, 5) * np.std(VALUES, ddof=1) * math.sqrt(2)
    assert (spread.pi95, spread.runs) == (pytest.approx(wanted), 6)
    assert spread_of(load(reference, "vae")) is None, "three runs are too few"


def load(reference: Path, method: str) -> dict[str, object]:
    rows = shipped_runs("digits", reference)
    return rows[rows["method"] == method].iloc[0].to_dict()


def test_that_interval_holds_the_second_of_two_trainings() -> None:
    """By simulation: 95 % of further trainings lie within it, at six reference runs."""
    generator = np.random.default_rng(0)
    runs = generator.normal(size=(4000, 8))
    inside = []
    for row in runs:
        half = prediction(pd.Series(row[:6])) * math.sqrt(2 * 6 / 7)
        inside.append(abs(row[6] - row[7]) <= half)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "other"}, {"data_sha256": "e" * 64}, {"preset": "standard"},
        {"track": "native"}, {"method": "ae[lr=1]"}, {"params": "{}x"}, {"metric": "mse[other]"},
    ],
)  # fmt: skip
def test_a_run_of_another_kind_has_no_spread(change: dict[str, str], reference: Path) -> None:
    assert spread_of(load(reference, "ae") | change) is None


def test_a_single_training_is_shown_with_the_spread_and_its_mark(
    reference: Path, tmp_path: Path
) -> None:
    write_record(tmp_path / "one", make_cell(seed=7, code_sha256="f" * 64))
    results = load_results(tmp_path / "one")
    page = io.StringIO()
    print_tables(results, Console(file=page, width=160, highlight=False))
    wanted = stats.t.ppf(0.975, 5) * np.std(VALUES, ddof=1) * math.sqrt(2)
    assert f"0.5000 ±{wanted:.4f}*" in page.getvalue()
    assert "* one training; 95 % of further trainings lie this near" in page.getvalue()
    assert "(runs: ae 6)" in page.getvalue()
    (row,) = leaderboard(results).to_dict("records")
    assert row["reconstruction/mse pi95"] == pytest.approx(wanted)
    assert row["reconstruction/mse pi95 of"] == "6 reference runs"

    # Two trainings have a spread of their own.
    write_record(
        tmp_path / "one", make_cell(seed=8, code_sha256="f" * 64), rows=[ROW | {"value": 0.7}]
    )
    page = io.StringIO()
    print_tables(load_results(tmp_path / "one"), Console(file=page, width=160, highlight=False))
    assert "*" not in page.getvalue()
    (row,) = leaderboard(load_results(tmp_path / "one")).to_dict("records")
    assert row["reconstruction/mse pi95 of"] == "own"
    assert row["reconstruction/mse pi95"] == pytest.approx(prediction(pd.Series([0.5, 0.7])))


def test_without_reference_runs_there_is_no_interval(reference: Path, tmp_path: Path) -> None:
    write_record(tmp_path / "one", make_cell(method="acai"))
    page = io.StringIO()
    print_tables(load_results(tmp_path / "one"), Console(file=page, width=160, highlight=False))
    assert "±" not in page.getvalue().replace("± 95 %", "")
    assert "*" not in page.getvalue()


@pytest.mark.parametrize("name", shipped_names())
def test_each_leaderboard_is_what_its_raw_rows_give(name: str, tmp_path: Path) -> None:
    from otbench.results.tables import _write_csv

    board = BOARDS / f"leaderboard-{name}.csv"
    _write_csv(leaderboard(shipped_runs(name)), tmp_path / "rebuilt.csv")
    assert (tmp_path / "rebuilt.csv").read_text() == board.read_text()


def test_every_leaderboard_at_the_top_of_results_has_raw_rows() -> None:
    boards = {file.stem.removeprefix("leaderboard-") for file in BOARDS.glob("leaderboard-*.csv")}
    assert boards == set(shipped_names())
    assert {file.suffix for file in folder().iterdir()} == {".csv", ".json"}
