"""Records of made-up cells, for tests that need results and no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otbench.plugins.registry import Plugin
from otbench.presets import Sizes
from otbench.results.cell import Cell, slug
from otbench.results.job import Job

ROW = {
    "task": "reconstruction", "text": "mse", "metric": "mse", "direction": "lower",
    "value": 0.5, "stderr": 0.1, "n": 10, "status": "ok", "reason": None, "score_sha256": "s",
}  # fmt: skip


def make_cell(**content: Any) -> Cell:
    """Make a cell of `ae` on `digits`; the content replaces what it has."""
    known = {
        "method": "ae",
        "parameters": {},
        "plugin": Plugin("methods", "ae", "m:AE", "otbench-suite", "0.1.0"),
        "dataset": "digits",
        "dataset_parameters": {},
        "dataset_plugin": Plugin("datasets", "digits", "d:Digits", "otbench-suite", "0.1.0"),
        "variant": "full",
        "data_sha256": "d" * 64,
        "track": "matched",
        "preset": "quick",
        "seed": 0,
        "steps": 500,
        "batch_size": 64,
        "seconds": None,
        "code_sha256": "c" * 64,
        "device": "cpu",
        "threads": 1,
        "libraries": {"torch": "2.14.1"},
    }
    return Cell(**known | content)


def make_job(out: Path, cell: Cell, **content: Any) -> Job:
    """Make a job that wants the one metric of `ROW`; the content replaces what it has."""
    known: dict[str, Any] = {
        "metrics": {ROW["task"]: [ROW["text"]]}, "digests": {"reconstruction/mse": "s"},
        "unavailable": {}, "sizes": Sizes(), "reference": False, "cost": 1.0, "provenance": {},
        "attempt": "attempt",
    }  # fmt: skip
    folder = out / "cells" / slug(cell.dataset) / cell.folder_name
    return Job(cell, folder, **known | content)


def write_record(out: Path, cell: Cell, **content: Any) -> Path:
    """Write the record of a cell below a results folder; the content replaces what it has."""
    known: dict[str, Any] = {
        "status": "ok", "reason": None, "rows": [ROW], "fit_seconds": 1.0, "score_seconds": 1.0,
        "peak_rss_mb": 100.0, "started_at": "2026-11-26T00:00:00+00:00", "losses": {}, "curve": [],
    }  # fmt: skip
    job = make_job(out, cell)
    job.write_record(**known | content)
    return job.folder / "record.json"


def write_results(out: Path) -> None:
    """Write three seeds of two methods."""
    for method in ("ae", "vae"):
        for seed in range(3):
            row = ROW | {"value": 0.5 + 0.1 * seed}
            write_record(out, make_cell(method=method, seed=seed), rows=[row])
