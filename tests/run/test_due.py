"""Which cells of a request run: what each strategy does with a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otbench.cli.main import main
from otbench.run.runner import STRATEGIES, Options, _is_due
from tests.results.small import ROW, make_cell, make_job, write_record

RECORDS: dict[str, dict[str, Any] | None] = {
    "absent": None,
    "finished": {},
    "lacks a metric": {"rows": []},
    "skipped": {"status": "skipped", "rows": []},
    "failed": {"status": "failed", "rows": []},
    "timeout": {"status": "timeout", "rows": []},
    "oom": {"status": "oom", "rows": []},
    "interrupted": {"status": "interrupted", "rows": [ROW]},
}
FAILURES = {"failed", "timeout", "oom", "interrupted"}
DUE = {
    "only-missing": {"absent", "lacks a metric"} | FAILURES,
    "only-failed": FAILURES,
    "always": set(RECORDS),
    "never": {"absent"},
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_says_what_runs(strategy: str, tmp_path: Path) -> None:
    job, due = make_job(tmp_path, make_cell()), set()
    for name, content in RECORDS.items():
        if content is not None:
            write_record(tmp_path, job.cell, **content)
        if _is_due(job, job.record(), Options(tmp_path, strategy=strategy)):
            due.add(name)
    assert due == DUE[strategy]


def test_only_failed_and_rescore_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["run", "--methods", "ae", "--dataset", "digits", "--only-failed", "--rescore"]) == 2
    )
    assert "give one" in capsys.readouterr().err
