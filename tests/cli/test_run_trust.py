"""No result of another run, of other data or of a better model than the saved one is told as ok."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from otbench import load_results
from tests.cli.conftest import Command

PLUGIN = Path(__file__).parent / "deceiving.py"
SMOKE = ("--dataset", "digits", "--preset", "smoke")


@pytest.fixture
def mood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files decide how methods behave."""
    folder = tmp_path / "mood"
    folder.mkdir()
    monkeypatch.setenv("MOOD", str(folder))
    return folder


def records(out: Path, method: str) -> list[dict]:
    return [json.loads(f.read_text()) for f in out.glob(f"cells/*/{method}-s*/record.json")]


def value(record: dict, metric: str) -> float:
    return next(row["value"] for row in record["rows"] if row["metric"] == metric)


def test_what_deceives_is_told(otbench: Command, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = otbench(
        "run", "--plugin", PLUGIN, *SMOKE, "--out", out,
        "--methods", "pixels", "changes-its-input", "changes-its-data", "forgets-itself",
        "leaves-something-running",
    )  # fmt: skip
    assert done.code == 1
    # Its standard input is empty, and what it started ended with it.
    (left,) = records(out, "leaves-something-running")
    assert left["status"] == "ok"
    assert not any(
        process.info["cmdline"] == ["sleep", "987"] for process in psutil.process_iter(["cmdline"])
    )
    (honest,) = records(out, "pixels")
    assert honest["status"] == "ok"
    assert value(honest, "mse") == 0

    # It gets copies, so its codes of another image are scored against the true one.
    (changed,) = records(out, "changes-its-input")
    assert changed["status"] == "ok"
    assert value(changed, "mse") > 1e-3

    (spoilt,) = records(out, "changes-its-data")
    assert spoilt["status"] == "failed"
    assert "fit: the method changed data.test.images in place" in spoilt["reason"]

    # It is scored as it was saved: a black image.
    (forgotten,) = records(out, "forgets-itself")
    assert value(forgotten, "mse") > 0.05


def test_an_old_record_is_no_answer_and_no_good_one_is_lost(
    otbench: Command, tmp_path: Path, mood: Path
) -> None:
    out = tmp_path / "results"
    run = ("run", "--plugin", PLUGIN, *SMOKE, "--out", out)
    both = ("--methods", "says-nothing", "moody")
    assert otbench(*run, *both, "--metrics", "kid[lenet]").code == 0
    before = {name: records(out, name)[0] for name in ("says-nothing", "moody")}

    (mood / "silent").touch()
    (mood / "sleepy").touch()
    again = otbench(*run, *both, "--overwrite-strategy", "always", "--timeout", "12s")
    assert again.code == 1
    assert "without a record of its own; see cell.log; the earlier result is kept" in again.err
    assert "timeout: killed after 12 s; the earlier result is kept" in again.err
    for name, record in before.items():
        (after,) = records(out, name)
        assert after["rows"] == record["rows"]
        assert after["status"] == "ok"
        assert after["last_attempt"]["status"] in ("failed", "timeout")

    # A model that cannot be loaded is trained again, and what this command does not name stays.
    (mood / "sleepy").unlink()
    (mood / "forgetful").touch()
    rescored = otbench(*run, "--methods", "moody", "--rescore")
    assert rescored.code == 0, rescored.err
    assert not (mood / "forgetful").exists()
    (after,) = records(out, "moody")
    metrics = [(row["task"], row["metric"]) for row in after["rows"]]
    assert any(metric.startswith("kid[") for _, metric in metrics)
    assert len(metrics) == len(set(metrics))
    assert "last_attempt" not in after
    assert not list(out.rglob("request-*"))
    assert not list(out.rglob("*.tmp*"))


def test_tables_show_the_code_that_was_asked_for_and_no_mixture(
    otbench: Command, tmp_path: Path
) -> None:
    """Code A, then B, then A again; two seeds of A and one of B."""
    plugin, out = tmp_path / "mine.py", tmp_path / "results"
    text = PLUGIN.read_text().replace("class Pixels", "class Mine").replace("(Pixels)", "(Mine)")
    plugin.write_text(text)
    run = ("run", "--plugin", plugin, *SMOKE, "--out", out, "--methods", "mine")
    assert otbench(*run, "--seeds", "2").code == 0
    plugin.write_text(text.replace(".clamp(0, 1)", ".clamp(0, 0.5)"))
    assert otbench(*run, "--seed", "1").code == 0

    def shown() -> pd.Series:
        (board,) = pd.read_csv(out / "leaderboard-digits-smoke.csv").to_dict("records")
        return pd.Series(board)

    assert shown()["seeds"] == 1
    assert shown()["reconstruction/mse"] > 0
    plugin.write_text("# a comment is no code\n" + text)
    again = otbench(*run, "--seeds", "2")
    assert "2 of 2 cells reused" in again.out
    assert shown()["seeds"] == 2
    assert shown()["reconstruction/mse"] == 0
    assert load_results(out)["group"].nunique() == 2
