"""The verbs that list, show and check."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.results.small import write_results

HEAVY = ("torch", "jax", "pandas", "sklearn", "numpy", "rich")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["ls", "methods"]])
def test_help_and_lists_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom otbench.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("kind", ["methods", "datasets", "tasks", "metrics", "presets"])
def test_ls_lists_every_kind(otbench: Command, kind: str) -> None:
    finished = otbench("ls", kind, "--json")
    assert finished.code == 0
    assert len(json.loads(finished.out)) >= 4


def test_show_states_source_equations_deviations_and_parameters(otbench: Command) -> None:
    for method in ("ae", "vae", "acai", "path-energy", "not-ae", "w2-icnn"):
        shown = otbench("show", method)
        assert shown.code == 0
        for part in ("source:", "equations:", "deviations:", "parameters:"):
            assert part in shown.out, (method, part)


@pytest.mark.parametrize("name", ["mnist", "fid", "reconstruction", "quick"])
def test_show_knows_datasets_metrics_tasks_and_presets(otbench: Command, name: str) -> None:
    assert otbench("show", name).code == 0


def test_show_suggests_a_name(otbench: Command) -> None:
    finished = otbench("show", "acia")
    assert finished.code == 2
    assert "did you mean acai" in finished.err


def test_check_passes_a_good_method_and_names_what_is_wrong(otbench: Command) -> None:
    plugin = Path(__file__).parent / "misbehaving.py"
    good = otbench("check", "good", "--plugin", plugin)
    assert good.code == 0, good.out
    assert "good conforms" in good.out
    bad = otbench("check", "out-of-range", "--plugin", plugin)
    assert bad.code == 1
    assert "FAILED interpolates" in bad.out
    assert "wanted [0, 1]" in bad.out


def test_leaderboard_without_results(otbench: Command, tmp_path: Path) -> None:
    finished = otbench("leaderboard", tmp_path / "nothing")
    assert finished.code == 2
    assert "no results folder" in finished.err


def test_sysinfo_names_versions(otbench: Command) -> None:
    content = json.loads(otbench("sysinfo", "--json").out)
    assert content["packages"]["torch"]
    assert content["otbench_version"]


def test_show_prints_bibtex(otbench: Command) -> None:
    done = otbench("show", "path-energy", "--bibtex")
    assert done.code == 0
    assert done.out.startswith("@misc{feng2024,")
    assert otbench("show", "crossfade", "--bibtex").code == 2


def test_a_pipe_that_is_no_utf8_gets_replacements(tmp_path: Path) -> None:
    write_results(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "otbench.cli.main", "leaderboard", str(tmp_path)],
        env=os.environ | {"PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert b"mse" in ended.stdout


def test_a_full_disk_is_one_sentence_and_loses_nothing(
    otbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(tmp_path)
    assert otbench("leaderboard", tmp_path).code == 0
    before = {file: file.read_bytes() for file in tmp_path.glob("*.csv")}

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "results.csv")

    monkeypatch.setattr("otbench.files.os.replace", full)
    ended = otbench("leaderboard", tmp_path)
    assert ended.code == 1
    assert "No space left on device at results.csv; what was finished is kept" in ended.err
    assert {file: file.read_bytes() for file in tmp_path.glob("*.csv")} == before
    assert not list(tmp_path.glob(".*.tmp*"))
