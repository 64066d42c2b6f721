"""Seeds that diverged, in the leaderboard and in the table of the terminal."""

from __future__ import annotations

import io
import math
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from otbench.report.terminal import print_tables
from otbench.results.statistics import diverged
from otbench.results.tables import COLUMNS, leaderboard

COMMON = {
    "dataset": "pair",
    "variant": "default",
    "preset": "quick",
    "track": "matched",
    "reference": False,
}


def row(method: str, seed: int, **content: Any) -> dict[str, Any]:
    known = {
        "method": method,
        "seed": seed,
        "status": "ok",
        "code_sha256": "c",
        "group": method,
        "score_sha256": "s",
    }
    return COMMON | known | content


def scored(method: str, seed: int, uvp: float) -> list[dict[str, Any]]:
    ends = {"task": "transport", "stderr": 0.1}
    return [
        row(method, seed, metric="uvp[forward]", direction="lower", value=uvp, **ends),
        row(method, seed, metric="monotonicity", direction="higher", value=1.0, **ends),
    ]


def failed(method: str, seed: int, **content: Any) -> list[dict[str, Any]]:
    return [row(method, seed, **{"status": "failed", "reason": "a loss became nan"} | content)]


def table(*rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([r for part in rows for r in part], columns=list(COLUMNS))


SHAKY = [*scored("shaky", 0, 2.0), *scored("shaky", 1, 250.0), *scored("shaky", 2, 3.0)]
RESULTS = table(
    scored("steady", 0, 1.0),
    scored("steady", 1, 1.5),
    SHAKY,
    failed("shaky", 3),
    failed("hopeless", 0),
    scored("constant", 0, 100.2),
)


def test_the_leaderboard_has_the_share_of_diverged_seeds_and_medians() -> None:
    board = leaderboard(RESULTS).set_index("method")
    assert board["diverged"].to_dict() == {
        "steady": 0, "shaky": 0.5, "hopeless": 1, "constant": 0
    }  # fmt: skip
    assert board["transport/uvp[forward] median"].dropna().to_dict() == {
        "steady": 1.25, "shaky": 3.0, "constant": 100.2
    }  # fmt: skip
    assert board.loc["shaky", "transport/uvp[forward]"] == pytest.approx(85)
    assert board.loc["shaky", "status"] == "failed"
    assert list(board.index) == ["steady", "shaky", "hopeless", "constant"]


def test_boards_of_images_have_no_such_columns() -> None:
    known = {"task": "reconstruction", "metric": "mse", "direction": "lower", "value": 1.0}
    board = leaderboard(table([row("ae", 0, **known)]))
    assert not [name for name in board if "diverged" in name or "median" in name]


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        (failed("m", 0, task="transport", metric="uvp[forward]") + scored("m", 0, 1)[1:], 1),
        (failed("m", 0, task="transport", metric="exact_w2") + scored("m", 0, 1), 0),
        (failed("m", 0, status="timeout") + scored("m", 1, 1), 0),
        (failed("m", 0, status="oom"), math.nan),
        (failed("m", 0, status="skipped", task="transport", metric="w2_gap"), math.nan),
        (scored("m", 0, 1)[1:], 0),
        (scored("m", 0, 100.9), 0),
        (scored("m", 0, 101.1) + scored("m", 1, 5), 0.5),
    ],
)
def test_what_counts_as_diverged(rows: list[dict[str, Any]], share: float) -> None:
    assert diverged(table(rows)) == pytest.approx(share, nan_ok=True)


def test_a_reference_learns_nothing_and_does_not_diverge() -> None:
    """The identity is as far from the target as the two laws are, in every seed."""
    far = [one | {"reference": True} for seed in (0, 1) for one in scored("identity", seed, 250.0)]
    assert diverged(table(far)) == 0
    assert diverged(table([*far, failed("identity", 2)[0] | {"reference": True}])) > 0
    page = io.StringIO()
    print_tables(table(far, scored("steady", 0, 1.0)), Console(file=page, width=160))
    assert "diverged" not in page.getvalue()
    assert "250" in page.getvalue()


def test_the_leaderboard_names_the_source_of_a_published_number() -> None:
    known = {"task": "classification", "metric": "probe_acc[logistic]", "direction": "higher"}
    of = {"dataset": "mnist[binarize=true]", "params": '{"likelihood": "bernoulli"}'}
    board = leaderboard(table([row("ae", 0, **known, **of, value=0.95)]))
    column = "classification/probe_acc[logistic]"
    assert board[f"{column} published"].tolist() == [0.94]
    assert board[f"{column} source"].tolist() == ["Feng & Strohmer 2024, Table 1"]
    plain = leaderboard(table([row("ae", 0, **known, **of | {"dataset": "mnist"}, value=0.95)]))
    assert not [name for name in plain if "published" in name or "source" in name]


def test_the_terminal_counts_collapsed_seeds_beside_the_mean_of_the_others() -> None:
    known = {"task": "reconstruction", "metric": "mse", "direction": "lower", "stderr": 0.1}
    lost = {"status": "collapsed", "reason": "no variance"}
    rows = [
        *(row("steady", seed, **known, value=0.25) for seed in range(3)),
        row("shaky", 0, **known, value=0.5),
        *(row("shaky", seed, **known, value=9.0, **lost) for seed in (1, 2)),
        *(row("gone", seed, **known, value=9.0, **lost) for seed in range(3)),
    ]
    page = io.StringIO()
    print_tables(table(rows), Console(file=page, width=160, highlight=False))
    lines = {words[1]: words for line in page.getvalue().split("\n") if (words := line.split())[1:]}
    assert lines["shaky"][3:] == ["2", "of", "3", "│", "0.5000", "(1", "of", "3)", "│"]
    assert lines["gone"][3:] == ["3", "of", "3", "│", "–", "│"]
    assert lines["steady"][3:] == ["0", "of", "3", "│", "0.2500", "│"]
    assert "shaky (reconstruction): collapsed: no variance" in page.getvalue()
    board = leaderboard(table(rows)).set_index("method")
    assert board["collapsed"].to_dict() == {"steady": 0, "shaky": pytest.approx(2 / 3), "gone": 1}


def test_the_terminal_says_which_maps_diverged() -> None:
    page = io.StringIO()
    print_tables(RESULTS, Console(file=page, width=160, highlight=False))
    shown = page.getvalue()
    bad = table(scored("bad", 0, 250.0), scored("steady", 0, 1.0))
    print_tables(bad, Console(file=page, width=160, highlight=False))
    more = page.getvalue()[len(shown) :]
    note = "(failed, or uvp[forward] above 100)"
    assert f"shaky: diverged in 50% of its seeds {note}; median 3 over 3 with a score" in shown
    assert f"hopeless: diverged in 100% of its seeds {note}\n" in shown
    assert "steady: diverged" not in shown
    assert "85" in shown
    assert "hopeless: failed: a loss became nan" in shown
    assert ">100" not in shown
    assert ">100" in more
    assert "250" not in more.split("median")[0]
