"""``otbench run`` from end to end, on data that needs no download."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from otbench import load_results
from otbench.files import read_bounded
from otbench.results.tables import COLUMNS
from tests.cli.conftest import Command

HERE = Path(__file__).parent
PLUGIN = HERE / "misbehaving.py"
SMOKE = ("--dataset", "digits", "--preset", "smoke")


@contextmanager
def counted_reads(name: str) -> Iterator[Counter[Path]]:
    """Count how often each file of that name is read."""
    reads: Counter[Path] = Counter()

    def counting(path: Path, most: int) -> bytes:
        if path.name == name:
            reads[path] += 1
        return read_bounded(path, most)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("otbench.results.cell.read_bounded", counting)
        yield reads


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_run_ends_in_tables_and_the_same_command_reuses_it(otbench: Command, out: Path) -> None:
    command = ("run", "--methods", "ae,crossfade", *SMOKE, "--out", out)
    first = otbench(*command)
    assert first.code == 0, first.err
    assert "mse ↓" in first.out
    assert "needs encode" in first.out
    results = load_results(out)
    assert list(results.columns) == list(COLUMNS)
    scored = results[results["status"] == "ok"]
    assert set(scored["method"]) == {"ae", "crossfade"}
    assert scored["value"].notna().all()
    missing = results[results["status"] != "ok"]
    assert missing["reason"].notna().all()
    assert (out / "interpolation-digits.png").stat().st_size > 1000
    board = pd.read_csv(out / "leaderboard-digits-smoke.csv")
    assert list(board["method"]) == ["ae", "crossfade"]
    assert board["reconstruction/mse direction"].eq("lower").all()

    records = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*/record.json")}
    # A picture that cannot be drawn is a warning, and costs no table.
    gallery = next(out.glob("cells/*/ae-s0-*/gallery.npz"))
    gallery.write_bytes(gallery.read_bytes()[:100])
    with counted_reads("record.json") as reads:
        second = otbench(*command, "--json")
    assert second.code == 0
    assert "no interpolation-digits.png" in second.err
    assert reads == dict.fromkeys(records, 1)
    assert json.loads(second.out)["exit_code"] == 0
    assert {path: path.stat().st_mtime_ns for path in records} == records

    more = otbench(*command[:2], "ae", *SMOKE, "--out", out, "--metrics", "kid[lenet]", "--json")
    assert more.code == 0, more.err
    after = load_results(out)
    ae = after[after["method"] == "ae"]
    assert ae["metric"].str.startswith("kid[").any()
    before = results[results["method"] == "ae"]
    assert ae["fit_seconds"].iloc[0] == before["fit_seconds"].iloc[0], "it was trained again"
    merged = ae.merge(before, on=["task", "metric"], suffixes=("", "_before"))
    assert len(merged) == len(before)
    pd.testing.assert_series_equal(merged["value"], merged["value_before"], check_names=False)


def test_what_a_method_does_wrong_is_a_row_with_its_reason(otbench: Command, out: Path) -> None:
    raises = out.parent / "raises_on_import.py"
    raises.write_text("raise ImportError('no such library')\n")
    names = "good fails-in-fit becomes-nan wrong-shape out-of-range wants-memory is-killed"
    names += " takes-memory"
    finished = otbench(
        "run", "--plugin", PLUGIN, "--plugin", raises, *SMOKE, "--out", out,
        "--methods", *names.split(), "raises-on-import", "--max-memory", "1500M",
    )  # fmt: skip
    assert finished.code == 1
    board = pd.read_csv(out / "leaderboard-digits-smoke.csv").set_index("method")
    expected = {
        "good": ("ok", ""),
        "fails-in-fit": ("failed", "RuntimeError: no luck today"),
        "becomes-nan": ("diverged", "'loss' became nan at step 8"),
        "wrong-shape": ("failed", "31, 32"),
        "out-of-range": ("failed", "wanted [0, 1]"),
        "wants-memory": ("oom", "MemoryError"),
        "is-killed": ("oom", "want of memory"),
        "takes-memory": ("oom", "of memory; --max-memory allows 1.46G"),
        "raises-on-import": ("not_installed", "no such library"),
    }
    assert set(board.index) == set(expected)
    for method, (status, reason) in expected.items():
        assert board.loc[method, "status"] == status, method
        assert reason in str(board.loc[method, "reason"]), method
        assert method in finished.out
    assert not list(out.rglob("*.tmp"))


def test_a_collapsed_training_is_a_status_and_its_values_are_in_no_mean(
    otbench: Command, out: Path
) -> None:
    """One seed of two; the reference that draws the same grey is exempt."""
    run = (
        "run", "--plugin", PLUGIN, *SMOKE, "--steps", "100", "--seeds", "2", "--out", out,
        "--methods", "fades,grey-reference",
    )  # fmt: skip
    finished = otbench(*run)
    assert finished.code == 1
    reason = "its output has 0 of the data's variance, below 0.1"
    assert f"collapsed: {reason}" in finished.out
    assert "1 of 2" in finished.out
    board = pd.read_csv(out / "leaderboard-digits-smoke.csv").set_index("method")
    assert board.loc["fades", "status"] == "collapsed"
    assert board.loc["fades", "reason"] == reason
    assert board["collapsed"].to_dict() == {"fades": 0.5, "grey-reference": 0}
    assert board["reconstruction/mse n"].to_dict() == {"fades": 1, "grey-reference": 2}
    assert board.loc["fades", "reconstruction/mse"] == 0
    assert board.loc["grey-reference", "reconstruction/mse"] > 0
    results = load_results(out)
    grey = results[(results["method"] == "fades") & (results["seed"] == 0)]
    scored = grey[grey["metric"] == "mse"]
    assert scored["status"].tolist() == ["collapsed"]
    assert scored["value"].iloc[0] > 0.05, "what it scored is kept"

    again = otbench(*run)
    assert again.code == 1
    assert "4 of 4 cells reused" in again.out


def test_a_cell_that_takes_too_long_is_killed(otbench: Command, out: Path) -> None:
    only = ("--methods", "hangs", "--timeout", "2s")
    finished = otbench("run", "--plugin", PLUGIN, *SMOKE, "--out", out, *only)
    assert finished.code == 1
    assert "hangs: timeout: killed after 2 s" in finished.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "path-enery"), "unknown method 'path-enery'; did you mean path-energy"),
        (("--dataset", "mnits"), "unknown dataset 'mnits'; did you mean mnist"),
        (("--preset", "quik"), "unknown preset 'quik'; did you mean quick"),
        (("--metrics", "fidd"), "unknown metric 'fidd'; did you mean fid"),
        (("--methods", "ae["), "do not match"),
        (("--timeout", "soon"), "--timeout soon"),
        (("--seeds", "0"), "--seeds wants a number of at least 1"),
        (("--plugin", "nowhere.py"), "there is no such file"),
        (("--config", "nowhere.yml"), "nowhere.yml"),
    ],
)
def test_wrong_usage_is_refused_before_anything_starts(
    otbench: Command, out: Path, arguments: tuple[str, str], message: str
) -> None:
    finished = otbench("run", "--out", out, *arguments)
    assert finished.code == 2
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert not out.exists()


def test_a_wrong_parameter_is_refused_by_its_type(otbench: Command, out: Path) -> None:
    finished = otbench("run", "--out", out, *SMOKE, "--methods", "ae[lr=fast]")
    assert finished.code == 2
    assert "lr must be a number, got 'fast'" in finished.err
    assert not list(out.rglob("record.json"))


def test_nothing_that_fits_the_data_is_a_row_with_its_reason(otbench: Command, out: Path) -> None:
    ended = otbench("run", "--methods", "linear", *SMOKE, "--out", out)
    assert ended.code == 3
    reason = "needs a pair of distributions; digits is a set of images"
    assert f"linear: skipped: {reason}" in ended.out


def test_a_results_folder_that_cannot_be_written(otbench: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finished = otbench("run", "--out", tmp_path / "file" / "results", *SMOKE)
    assert finished.code == 2
    assert "cannot write results" in finished.err


def test_a_dead_network_and_an_empty_cache(
    otbench: Command, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path / "empty"))
    finished = otbench("run", "--out", out, "--dataset", "fashion-mnist", "--methods", "ae")
    assert finished.code == 3
    assert "fashion-mnist" in finished.err
    assert str(tmp_path / "empty") in finished.err


def test_a_config_file_holds_the_same_keys_and_flags_win(
    otbench: Command, out: Path, tmp_path: Path
) -> None:
    config = tmp_path / "run.yml"
    config.write_text("methods: [crossfade, displacement]\ndataset: digits\npreset: smoke\n")
    finished = otbench("run", "--config", config, "--out", out, "--dry-run", "--methods", "ae")
    assert finished.code == 0, finished.err
    assert [line.split()[1][:5] for line in finished.out.splitlines()] == ["ae-s0"]
    config.write_text("metods: ae\n")
    refused = otbench("run", "--config", config, "--out", out)
    assert refused.code == 2
    assert "did you mean methods" in refused.err


def test_a_killed_run_leaves_nothing_half_written_and_no_process(out: Path) -> None:
    command = [sys.executable, "-m", "otbench.cli.main", "run", "--plugin", str(PLUGIN), *SMOKE]
    command += ["--methods", "good,hangs", "--jobs", "2", "--out", str(out)]
    environment = os.environ | {"OTBENCH_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(out.glob("cells/digits/good-*/record.json")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (hanging,) = out.glob("cells/digits/hangs-*")
    while str(hanging) in _command_lines():
        assert time.monotonic() < deadline, "the worker outlived the run"
        time.sleep(0.2)
    assert not (hanging / "record.json").exists()
    (record,) = out.glob("cells/digits/good-*/record.json")
    assert json.loads(record.read_text())["status"] == "ok"


def test_a_run_that_is_asked_to_end_keeps_records_and_tables(out: Path) -> None:
    command = [sys.executable, "-m", "otbench.cli.main", "run", "--plugin", str(PLUGIN), *SMOKE]
    command += ["--methods", "hangs", "--out", str(out)]
    environment = os.environ | {"OTBENCH_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list(out.glob("cells/digits/hangs-*/progress.json")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "ended by SIGTERM; finished cells are kept" in said
    (record,) = out.glob("cells/digits/hangs-*/record.json")
    assert json.loads(record.read_text())["status"] == "interrupted"
    assert not list(out.rglob("request-*"))


def _command_lines() -> str:
    import psutil

    lines = []
    for process in psutil.process_iter(["cmdline"]):
        lines.append(" ".join(process.info["cmdline"] or []))
    return "\n".join(lines)
