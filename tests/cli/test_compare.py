"""``otbench compare`` on a table of made-up results."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from otbench.results import tables
from tests.cli.conftest import Command

FIRST, SECOND = [0.50, 0.61, 0.55, 0.48, 0.52], [0.58, 0.66, 0.63, 0.50, 0.61]


@pytest.fixture(autouse=True)
def _results(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "dataset": "digits", "variant": "full", "preset": "quick", "track": "matched",
        "score_sha256": "s", "data_sha256": "x", "code_sha256": "c", "started_at": "2026",
        "task": "clustering", "metric": "kmeans_acc[raw]", "direction": "higher", "status": "ok",
    }  # fmt: skip
    rows = [
        known | {"method": method, "seed": seed, "value": value}
        for method, values in (("ae", FIRST), ("vae", SECOND))
        for seed, value in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=list(tables.COLUMNS))
    monkeypatch.setattr(tables, "load_results", lambda folder: table)


def test_the_table_says_which_is_better(otbench: Command) -> None:
    done = otbench("compare", "ae", "vae")
    assert done.code == 0
    assert "kmeans_acc[raw]" in done.out
    assert "better" in done.out
    assert "Paired by seed (5 pairs)" in done.out


def test_json_has_the_numbers(otbench: Command) -> None:
    (row,) = json.loads(otbench("compare", "ae", "vae", "--json").out)
    assert row["pairs"] == 5
    assert row["verdict"] == "better"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ae", "vea"), "did you mean vae"),
        (("ae", "vae", "--metric", "mse"), "share no value"),
        (("ae", "vae", "--dataset", "mnist"), "no results of that kind"),
    ],
)
def test_what_cannot_be_compared_is_named(
    otbench: Command, arguments: tuple[str, ...], message: str
) -> None:
    done = otbench("compare", *arguments)
    assert done.code == 2
    assert message in done.err


def test_two_folders_are_compared_method_by_method(otbench: Command, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    rows = json.loads(otbench("compare", *folders, "--json").out)
    assert [(row["method"], row["verdict"]) for row in rows] == [
        ("ae", "not distinguishable"), ("vae", "not distinguishable")
    ]  # fmt: skip


def test_trainings_that_collapsed_are_left_out_and_counted(
    otbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tables.load_results("")
    table["cell"] = table["method"] + table["seed"].astype(str)
    table.loc[(table["method"] == "vae") & (table["seed"] == 3), "status"] = "collapsed"
    monkeypatch.setattr(tables, "load_results", lambda folder: table)
    done = otbench("compare", "ae", "vae")
    assert "Paired by seed (4 pairs)" in done.out
    assert "vae: 1 trainings collapsed or diverged, left out" in done.out
    assert "ae: 1" not in done.out.replace("vae: 1", "")
