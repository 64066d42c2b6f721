"""``otbench status`` beside a run that goes on elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from otbench.results.asked import remember
from otbench.results.cell import write_json
from tests.cli.conftest import Command
from tests.results.small import make_cell, make_job, write_record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two finished cells, one failed, one that was asked for before, and two to come."""
    cells = [make_cell(seed=seed) for seed in range(5)]
    old = make_cell(method="vae")
    for cell in (cells[0], cells[1], old):
        write_record(tmp_path, cell, fit_seconds=20.0, score_seconds=10.0)
    write_record(tmp_path, cells[2], status="oom", reason="9 GB\x1b[31m")
    for cell in cells:
        make_job(tmp_path, cell).write()
    remember(tmp_path, cells)
    return tmp_path


def told(otbench: Command, folder: Path) -> dict:
    ended = otbench("status", folder, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_cells_are_counted_by_state_and_nothing_runs(otbench: Command, folder: Path) -> None:
    content = told(otbench, folder)
    assert content["counts"] == {"ok": 2, "oom": 1, "waiting": 2}
    assert content["seconds_left"] is None
    assert {cell["method"] for cell in content["cells"]} == {"ae"}


def test_a_cell_whose_lock_is_held_is_running(otbench: Command, folder: Path) -> None:
    job = make_job(folder, make_cell(seed=3))
    lock = job.folder / "cell.lock"
    with FileLock(lock):
        started = time.time() - 12
        os.utime(lock, (started, started))
        write_json(job.folder / "progress.json", {"stage": "fit", "step": 120, "steps": 500})
        content = told(otbench, folder)
        assert told(otbench, folder)["counts"] == content["counts"]
        ended = otbench("status", folder)
    assert content["counts"] == {"ok": 2, "oom": 1, "running": 1, "waiting": 1}
    (running,) = (cell for cell in content["cells"] if cell["state"] == "running")
    assert running["stage"] == "fit 120/500"
    assert running["seconds"] == pytest.approx(12, abs=5)
    # A finished cell took 30 s: one is left whole, the other has 18 s to go.
    assert content["seconds_left"] == pytest.approx(48, abs=5)
    assert "seed 3  running, 12 s: fit 120/500" in ended.out.replace("13 s", "12 s")
    assert "seed 2  oom: 9 GB" in ended.out
    assert "\x1b" not in ended.out
    assert told(otbench, folder)["counts"] == {"ok": 2, "oom": 1, "waiting": 2}


def test_without_a_finished_cell_no_time_is_made_up(otbench: Command, tmp_path: Path) -> None:
    job = make_job(tmp_path, make_cell())
    job.write()
    remember(tmp_path, [job.cell])
    with FileLock(job.folder / "cell.lock"):
        content = told(otbench, tmp_path)
    assert content["counts"] == {"running": 1}
    assert content["seconds_left"] is None


@pytest.mark.parametrize("text", ["{", "[]", '{"cell": 3}', "[" * 100_000])
def test_broken_files_do_not_matter(otbench: Command, folder: Path, text: str) -> None:
    broken = folder / "cells" / "digits" / "broken"
    broken.mkdir()
    (broken / "cell.json").write_text(text)
    (broken / "record.json").write_text(text)
    (broken / "progress.json").write_text(text)
    (folder / "cells" / "digits" / "a-file").write_text("x")
    assert told(otbench, folder)["counts"] == {"ok": 2, "oom": 1, "waiting": 2}


def test_what_is_no_results_folder_is_named(otbench: Command, tmp_path: Path) -> None:
    ended = otbench("status", tmp_path)
    assert ended.code == 2
    assert "is no results folder" in ended.err


def test_it_imports_nothing_heavy(folder: Path) -> None:
    program = (
        "import sys; from otbench.cli.main import main; main(sys.argv[1:]); "
        "print(sorted({'torch', 'jax', 'pandas', 'numpy', 'scipy'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", program, "status", str(folder)]
    assert subprocess.check_output(command, text=True).splitlines()[-1] == "[]"
