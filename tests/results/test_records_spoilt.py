"""Whatever the files of a results folder hold: an error with a sentence, or tables of the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otbench.cli.main import main
from otbench.files import read_bounded
from otbench.report.live import describe_progress
from otbench.results import cell as cells
from otbench.results.progress import read_progress
from otbench.results.record import BadRecord, read_record
from otbench.results.records import answers, is_finished, outcome_of
from otbench.results.tables import leaderboard, table
from tests.fuzzing import QUICKLY, edited, ours_or_nothing, spoilt
from tests.results.small import ROW, make_cell, make_job, write_record


def a_record(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write a record that has everything a record can have."""
    row = ROW | {"metric": "uvp[forward]", "task": "transport", "stderr": None}
    content = {
        "rows": [ROW, row | {"status": "failed", "value": None, "reason": "no"}],
        "losses": {"loss": [[1, 0.5], [500, 0.25]]},
        "curve": [{"step": 1, "seconds": 0.5, "uvp": 3.0}],
        "last_attempt": {"attempt": "other", "status": "timeout", "reason": "killed"},
    }
    file = write_record(folder, make_cell(), **content)
    return file, json.loads(file.read_text())


def consistent(content: Any) -> Any:
    """Give a record the key of its cell, whatever that is: then only types can be wrong."""
    try:
        cell = cells.Cell.from_json(content["cell"])
        return content | {"key": cell.key, "group": cell.group}
    except (TypeError, KeyError, AttributeError, ValueError):
        return content


@QUICKLY
@given(data=st.data())
def test_an_edited_record_is_left_out_or_shown(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("edited")
    file, content = a_record(folder)
    other = read_record(write_record(folder, make_cell(method="vae")))
    file.write_text(json.dumps(consistent(data.draw(edited(content)))))
    with ours_or_nothing():
        record = read_record(file)
        job = make_job(folder, make_cell())
        outcome_of(job, record)
        answers(job, record)
        is_finished(job, record)
        # It was read, so it is shown.
        results = table([record, other])
        json.loads(results.to_json(orient="records"))
        leaderboard(results)


@QUICKLY
@given(data=st.data())
def test_a_spoilt_record_is_left_out_or_shown(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file, _ = a_record(tmp_path_factory.mktemp("spoilt"))
    file.write_bytes(data.draw(spoilt(file.read_bytes())))
    with ours_or_nothing():
        leaderboard(table([read_record(file)]))


@QUICKLY
@given(data=st.data())
def test_any_progress_is_a_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("progress")
    known = {"stage": "fit", "step": 3, "steps": 9, "seconds": 1.0, "losses": {"loss": 0.5}}
    (folder / "progress.json").write_text(json.dumps(known))
    assert describe_progress(read_progress(folder)) == "step 3/9 loss 0.5 2 s left"
    (folder / "progress.json").write_text(json.dumps(data.draw(edited(known))))
    assert isinstance(describe_progress(read_progress(folder)), str)


def test_a_pipe_a_device_and_a_giant_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    with (tmp_path / "giant").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "deep").write_text("[" * 200_000)
    for name, why in {
        "pipe": "no regular file",
        "zeros": "no regular file",
        "giant": "larger than 67,108,864 bytes",
        "deep": "nested too deeply",
    }.items():
        with pytest.raises(BadRecord, match=why):
            read_record(tmp_path / name)
    # One that grows while it is read.
    monkeypatch.setattr(os, "fstat", lambda descriptor: os.stat("/dev/null"))
    monkeypatch.setattr("stat.S_ISREG", lambda mode: True)
    with pytest.raises(OSError, match="larger than 1,000 bytes"):
        read_bounded(tmp_path / "zeros", 1000)


def test_a_file_of_exactly_the_bound_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    assert read_bounded(tmp_path / "file", 1000) == bytes(1000)
    with pytest.raises(OSError, match="larger"):
        read_bounded(tmp_path / "file", 999)


def test_a_cell_is_shown_and_a_broken_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, _ = a_record(tmp_path)
    assert main(["show", str(file.parent)]) == 0
    shown = capsys.readouterr().out
    assert "ae on digits (full), seed 0" in shown
    assert "on cpu" in shown
    file.write_text("{}")
    assert main(["show", str(file.parent)]) == 2
    assert "cannot read records of format 1" in capsys.readouterr().err
