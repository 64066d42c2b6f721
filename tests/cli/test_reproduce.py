"""``otbench reproduce`` from end to end, and what happens where it is asked for too much."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command


def test_a_reproduction_ends_in_verdicts_and_the_same_command_only_judges(
    otbench: Command, tmp_path: Path
) -> None:
    command = ("reproduce", "feng2024/fig8", "--preset", "smoke", "--out", tmp_path)
    first = otbench(*command)
    assert first.code == 0, first.err
    assert "noflux: path-energy[" in first.out
    verdicts = [word for word in ("TOO FEW SEEDS", "SHOWN") if word in first.out]
    assert verdicts
    folder = tmp_path / "reproduce"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "feng2024-fig8.csv",
        "feng2024-fig8.json",
        "feng2024-fig8.png",
    }
    assert "feng2024/fig8" in (folder / "README.md").read_text()

    records = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/*/record.json")}
    assert len(records) == 3
    second = otbench(*command, "--json")
    assert second.code == 0
    (content,) = json.loads(second.out)["reproductions"]
    assert len(content["verdicts"]) == 3
    assert {path: path.stat().st_mtime_ns for path in records} == records

    listed = otbench("reproduce", "--list", "--out", tmp_path)
    (line,) = [line for line in listed.out.splitlines() if "feng2024/fig8" in line]
    assert "[smoke:" in line


def test_bad_requests_are_named(otbench: Command, tmp_path: Path) -> None:
    unknown = otbench("reproduce", "feng2024/fig99", "--out", tmp_path)
    assert unknown.code == 2
    assert "unknown reproduction 'feng2024/fig99'" in unknown.err
    nothing = otbench("reproduce")
    assert nothing.code == 2
    assert "--list" in nothing.err
    assert otbench("reproduce", "feng2024/fig8", "--seeds", "0").code == 2
    assert not (tmp_path / "reproduce").exists()


def test_show_prints_a_reproduction(otbench: Command) -> None:
    shown = otbench("show", "feng2024/fig2")
    assert shown.code == 0
    assert "disc.w2.ours < 0.5 *" in shown.out
