"""Identities of cells and scores, and records that anything may have happened to."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otbench.presets import Sizes
from otbench.results.cell import slug, write_json
from otbench.results.comparison import compare
from otbench.results.record import LOST, BadRecord, read_record
from otbench.results.records import is_finished, merge_rows, missing_metrics, with_failure
from otbench.results.tables import leaderboard, load_results, write_tables
from otbench.results.text import clean, no_formula
from otbench.scoring.digests import score_digests
from tests.results.small import ROW, make_cell, make_job, write_record, write_results


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"lr": 1e-3}}, {"data_sha256": "e" * 64}, {"code_sha256": "e" * 64},
        {"steps": 501}, {"seconds": 10.0}, {"device": "cuda"}, {"threads": 2},
        {"libraries": {"torch": "2.15.0"}}, {"track": "native"}, {"batch_size": 32},
    ],
)  # fmt: skip
def test_whatever_decides_the_model_decides_key_and_group(change: dict[str, Any]) -> None:
    assert make_cell(**change).key != make_cell().key
    assert make_cell(**change).group != make_cell().group


def test_seeds_share_a_group_and_no_key() -> None:
    assert make_cell(seed=1).key != make_cell().key
    assert make_cell(seed=1).group == make_cell().group


def test_sizes_and_metrics_decide_scores() -> None:
    metrics = {"interpolation": ["max-step", "mass-drift"]}
    known = score_digests(metrics, Sizes())
    assert len(set(known.values())) == 2
    assert score_digests(metrics, Sizes()) == known
    other = score_digests(metrics, Sizes(frames=7))
    assert all(other[name] != digest for name, digest in known.items())


def test_a_metric_of_other_code_is_scored_again_and_nothing_is_trained(tmp_path: Path) -> None:
    job = make_job(tmp_path, make_cell())
    write_record(tmp_path, make_cell())
    record = job.record()
    assert is_finished(job, record)
    newer = make_job(tmp_path, make_cell(), digests={"reconstruction/mse": "t"})
    assert newer.cell.key == job.cell.key
    assert missing_metrics(newer, record) == {"reconstruction": ["mse"]}


def test_a_failed_score_does_not_replace_one_of_the_same_code() -> None:
    failed = ROW | {"value": None, "status": "failed", "reason": "no"}
    assert merge_rows([ROW], [failed]) == [ROW]
    newer = failed | {"score_sha256": "t"}
    assert merge_rows([ROW], [newer]) == [newer]
    assert merge_rows([failed], [ROW]) == [ROW]


def test_a_failed_attempt_stands_beside_a_good_record(tmp_path: Path) -> None:
    file = write_record(tmp_path, make_cell())
    job = make_job(tmp_path, make_cell(), attempt="second", provenance={"commit": "new"})
    with_failure(job, job.record(), "timeout", "killed", started_at="later")
    after = read_record(file)
    assert after["rows"] == [ROW]
    assert after["provenance"] == {}
    assert after["last_attempt"] == {"attempt": "second", "status": "timeout", "reason": "killed"}


BROKEN = {
    "no JSON": lambda file: file.write_text("{"),
    "a list": lambda file: file.write_text("[]"),
    "nested without end": lambda file: file.write_text("[" * 100_000),
    "not UTF-8": lambda file: file.write_bytes(b"\xff\xfe{}"),
    "empty": lambda file: file.write_text(""),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "an older form": lambda file: change(file, schema=None),
    "rows of another type": lambda file: change(file, rows={"a": 1}),
    "a row without value": lambda file: change(file, rows=[{}]),
    "an infinite value": lambda file: file.write_text(
        file.read_text().replace('"value": 0.5', '"value": Infinity')
    ),
    "a status of its own": lambda file: change(file, status="splendid"),
    "a missing field": lambda file: change(file, fit_seconds=...),
    "another cell": lambda file: change(file, cell={"seed": 7}),
    "an edited cell": lambda file: change(file, cell=read(file)["cell"] | {"seed": 7}),
}


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


def change(file: Path, **content: Any) -> None:
    changed = read(file) | content
    file.write_text(json.dumps({k: v for k, v in changed.items() if v is not ...}))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_is_named_and_the_others_are_shown(name: str, tmp_path: Path) -> None:
    write_results(tmp_path)
    file = write_record(tmp_path, make_cell(method="broken"))
    BROKEN[name](file)
    with pytest.raises(BadRecord):
        read_record(file)
    with pytest.warns(UserWarning, match=r"broken-s0-\w+/record.json is left out"):
        results = load_results(tmp_path)
    assert set(results["method"]) == {"ae", "vae"}
    with pytest.warns(UserWarning, match="is left out"):
        assert write_tables(tmp_path)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_a_record_or_a_sentence(content: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record.json"
        file.write_text(json.dumps(content))
        with pytest.raises(BadRecord):
            read_record(file)


def test_data_that_changed_under_one_name_are_not_averaged(tmp_path: Path) -> None:
    write_record(tmp_path, make_cell(seed=0))
    write_record(tmp_path, make_cell(seed=1, data_sha256="e" * 64), rows=[ROW | {"value": 9.0}])
    board = leaderboard(load_results(tmp_path))
    assert sorted(board["reconstruction/mse"]) == [0.5, 9.0]
    assert list(board["seeds"]) == [1, 1]


@pytest.mark.parametrize("status", LOST)
def test_what_a_lost_training_scores_is_kept_and_not_averaged(status: str, tmp_path: Path) -> None:
    for seed, value in enumerate((1.0, 3.0, 90.0)):
        lost = {"status": status, "reason": "by the rule"} if seed == 2 else {}
        write_record(tmp_path, make_cell(seed=seed), rows=[ROW | {"value": value}], **lost)
    results = load_results(tmp_path)
    assert results["value"].tolist() == [1.0, 3.0, 90.0]
    assert results["status"].tolist() == ["ok", "ok", status]
    (row,) = leaderboard(results).to_dict("records")
    assert (row["reconstruction/mse"], row["reconstruction/mse n"]) == (2.0, 2)
    assert (row["seeds"], row["collapsed"]) == (3, pytest.approx(1 / 3))
    assert (row["status"], row["reason"]) == (status, "by the rule")
    table = compare(results, results)
    assert table["pairs"].tolist() == [2]


def test_a_lost_training_is_not_tried_again(tmp_path: Path) -> None:
    job = make_job(tmp_path, make_cell())
    write_record(tmp_path, make_cell(), status="collapsed", reason="by the rule")
    assert is_finished(job, job.record())
    # One that diverged while it trained has no model, and so nothing to score.
    write_record(tmp_path, make_cell(), status="diverged", reason="nan", rows=[], fit_seconds=None)
    assert is_finished(job, job.record())
    # A model without a score that is wanted is scored.
    write_record(tmp_path, make_cell(), status="collapsed", reason="by the rule", rows=[])
    assert not is_finished(job, job.record())


def test_a_mean_says_how_many_seeds_it_is_of(tmp_path: Path) -> None:
    for seed in range(3):
        failed = {"value": None, "status": "failed", "reason": "no"} if seed == 2 else {}
        write_record(tmp_path, make_cell(seed=seed), rows=[ROW | failed])
    (row,) = leaderboard(load_results(tmp_path)).to_dict("records")
    assert (row["seeds"], row["reconstruction/mse n"]) == (3, 2)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\x1b[31mred\x1b[0m\nand a line", "red and a line"),
        ("a lone \udc80 surrogate", "a lone ? surrogate"),
        ("bell\x07 and null\x00", "bell and null"),
        ("\x1b]0;title\x07text", "text"),
        ("one \ue000\nspace", "one space"),
        ("x" * 900, "x" * 499 + "…"),
    ],
)
def test_text_is_one_printable_line(text: str, wanted: str) -> None:
    assert clean(text) == wanted


@given(st.text(st.characters(codec=None)))
def test_clean_text_can_be_written_anywhere(text: str) -> None:
    plain = clean(text)
    assert plain.encode("utf-8").decode("utf-8") == clean(plain) == plain
    assert len(plain.splitlines()) <= 1


def test_no_text_becomes_a_formula(tmp_path: Path) -> None:
    assert no_formula("=1+1") == "'=1+1"
    assert no_formula("mse") == "mse"
    write_record(tmp_path, make_cell(), status="failed", reason="=HYPERLINK(1)", rows=[])
    (board,) = write_tables(tmp_path)
    assert "'=HYPERLINK(1)" in board.read_text()


def test_labels_that_differ_never_share_a_file() -> None:
    long = "folder[path=" + "a" * 100
    names = [slug(label) for label in (f"{long}b]", f"{long}c]", "folder:a/b", "folder:a_b")]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 80
    assert slug("path-energy[alpha=1,tau=2]") == "path-energy_alpha=1_tau=2"


def test_files_honour_the_umask_and_appear_whole(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {"x": 1})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
