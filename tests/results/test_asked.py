"""Tables show what was asked for last, by what was written down and not by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from otbench.results.asked import FILE, asked, remember, shown
from otbench.results.tables import leaderboard, load_results
from tests.results.small import ROW, make_cell, write_record

OLD, NEW = make_cell(), make_cell(code_sha256="n" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two codes of one method; the one asked for later ran earlier."""
    write_record(tmp_path, OLD, started_at="2026-01-02", rows=[ROW | {"value": 1.0}])
    write_record(tmp_path, NEW, started_at="2026-01-01", rows=[ROW | {"value": 2.0}])
    return tmp_path


def values(folder: Path) -> list[float]:
    return sorted(leaderboard(shown(load_results(folder), folder))["reconstruction/mse"])


def test_what_was_asked_for_last_is_shown(folder: Path) -> None:
    for cell, value in ((OLD, 1.0), (NEW, 2.0), (OLD, 1.0)):
        remember(folder, [cell])
        assert values(folder) == [value]


def test_without_a_note_nothing_is_hidden_or_mixed(folder: Path) -> None:
    assert values(folder) == [1.0, 2.0]
    (folder / FILE).write_text("[")
    assert asked(folder) == {}
    assert values(folder) == [1.0, 2.0]


def test_other_lines_keep_what_they_show(folder: Path) -> None:
    write_record(folder, make_cell(method="vae"), rows=[ROW | {"value": 5.0}])
    remember(folder, [OLD, make_cell(method="vae")])
    remember(folder, [NEW])
    assert values(folder) == [2.0, 5.0]
