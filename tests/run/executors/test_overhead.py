"""What executors cost beside the cells, and what a second slot brings."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from otbench.results.job import Job
from otbench.run.executors.base import Executor
from otbench.run.executors.dask import DaskExecutor
from otbench.run.executors.local import LocalExecutor
from otbench.run.executors.process import variables
from otbench.run.executors.slurm import SlurmExecutor
from tests.run.executors.running import Watched, execute, jobs_of, outcome_of, plan_of, statuses

pytestmark = pytest.mark.slow

CELLS = int(os.environ.get("N", "5000"))
SLOTS = 2
MOST_SECONDS = 0.020
SLEEP = 6.0


def seconds_of_a_worker(jobs: list[Job]) -> float:
    """Return how long the worker itself takes for a cell, started as in a group."""
    script = Path(__file__).with_name("worker_seconds.py")
    ended = subprocess.run(
        [sys.executable, script, *(str(job.request) for job in jobs)],
        env=variables(threads=1), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(ended.stdout)


@pytest.mark.parametrize("name", ["slurm", "dask"])
def test_overhead_of_trivial_cells(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5,000 cells that have nothing to do are planned, run in two groups, and collected.

    What a worker takes by itself is measured first and taken off; all the rest is overhead, the
    start of Python and torch included.
    """
    own = seconds_of_a_worker(jobs_of(plan_of("skips", seeds=100), tmp_path / "few"))
    if name == "slurm":
        pytest.importorskip("submitit")
        from tests.run.executors.slurm_here import Here, run_here

        run_here(monkeypatch)
        executor: Executor = SlurmExecutor(cells_per_job=CELLS // SLOTS)
    else:
        pytest.importorskip("distributed")
        executor = DaskExecutor()
    began = time.perf_counter()
    outcome = outcome_of(executor, tmp_path / "many", "skips", seeds=CELLS, jobs=SLOTS)
    seconds = (time.perf_counter() - began) / CELLS
    if name == "slurm":
        assert [job._process.wait(timeout=30) for job in Here.made] == [0, 0]
    assert Counter(statuses(outcome).values()) == {"skipped": CELLS}
    overhead = seconds - own / SLOTS
    load = os.getloadavg()[0]
    print(  # noqa: T201
        f"{name}: {1e3 * seconds:.1f} ms a cell, {1e3 * own:.1f} ms in its worker, "
        f"{1e3 * overhead:.1f} ms overhead; load {load:.1f}"
    )
    assert overhead < MOST_SECONDS


@pytest.mark.parametrize("kind", ["local", "dask"])
def test_two_slots_take_little_more_than_half_the_time(kind: str, tmp_path: Path) -> None:
    if kind == "dask":
        pytest.importorskip("distributed")
    plan, took = plan_of(f"plain[seconds={SLEEP}]", seeds=8), {}
    for slots in (1, SLOTS):
        jobs = jobs_of(plan, tmp_path / str(slots))
        executor: Executor = LocalExecutor() if kind == "local" else DaskExecutor()
        watched, began = Watched(), time.perf_counter()
        execute(executor, jobs, tmp_path / str(slots), watched, jobs=slots)
        took[slots] = time.perf_counter() - began
        assert {record["status"] for record in watched.records.values()} == {"ok"}
    ratio = took[SLOTS] / took[1]
    print(f"{kind}: {took[1]:.1f} s with one, {took[SLOTS]:.1f} s with two, {ratio:.2f}")  # noqa: T201
    assert ratio <= 0.6
