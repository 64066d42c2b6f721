"""Cells that share one import: the same results as alone, and as well kept apart."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from otbench.results.job import Job
from otbench.run.executors.grouped import Group
from otbench.run.executors.local import LocalExecutor
from otbench.run.executors.process import wait_for_any
from otbench.run.request import Plan
from tests.run.executors.running import Watched, execute, jobs_of, plan_of, values

KINDS = ("plain", "draws-globally", "dies", "hangs", "skips")


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Return two seeds of methods that go well and of methods that do not."""
    return plan_of(*KINDS, seeds=2)


@pytest.fixture
def group() -> Iterator[Group]:
    made = Group(threads=1)
    yield made
    made.close()


def run(group: Group, jobs: list[Job], timeout: float | None = None) -> list[str]:
    """Run cells in one group; return their statuses."""
    group.ask([job.request.resolve() for job in jobs], timeout)
    found: list[str] = []
    while len(found) < len(jobs) and group.alive:
        found += [answer["status"] for answer in group.answers(60)]
    return found


def of(jobs: list[Job], *methods: str) -> list[Job]:
    return [job for job in jobs if job.cell.method in methods]


def test_cells_of_a_group_end_as_they_would_alone(plan: Plan, group: Group, tmp_path: Path) -> None:
    grouped, alone = jobs_of(plan, tmp_path / "grouped"), jobs_of(plan, tmp_path / "alone")
    few = [job for job in grouped if job.cell.seed == 0 or job in of(grouped, *KINDS[:2])]
    statuses = run(group, few, timeout=2)
    found = dict(zip([f"{job.cell.method}-{job.cell.seed}" for job in few], statuses, strict=True))
    assert found == {
        "plain-0": "ok", "plain-1": "ok", "draws-globally-0": "ok", "draws-globally-1": "ok",
        "dies-0": "failed", "hangs-0": "timeout", "skips-0": "skipped",
    }  # fmt: skip
    assert not any(job.request.exists() for job in few)

    watched, own = Watched(), of(alone, "plain")
    execute(LocalExecutor(), own, tmp_path / "alone", watched)
    watched.check(own)
    assert values(of(grouped, "plain")) == values(own)
    # What a method draws from a global state differs from cell to cell, as it does alone.
    first, second = (rows[0]["value"] for rows in values(of(grouped, "draws-globally")).values())
    assert first != second
    # One process is asked again, and what has ended is not run again.
    assert run(group, of(grouped, "plain")) == ["ended before"] * 2

    # Planned with another torch than there is here, a cell is refused.
    (job, _) = of(grouped, "plain")
    cell = dataclasses.replace(job.cell, libraries=job.cell.libraries | {"torch": "1.0"})
    other = dataclasses.replace(job, cell=cell, folder=tmp_path / "other")
    other.write()
    assert run(group, [other]) == ["failed"]
    reason = "this machine has other libraries than the run was planned with: torch "
    assert reason in str((other.record() or {})["reason"])


def test_a_group_that_is_asked_to_end_blames_no_cell(
    plan: Plan, group: Group, tmp_path: Path
) -> None:
    (job, _) = of(jobs_of(plan, tmp_path), "hangs")
    group.ask([job.request.resolve()], None)
    while not (job.folder / "progress.json").exists():
        time.sleep(0.05)
    (worker,) = psutil.Process(group.process.pid).children()
    os.killpg(group.process.pid, signal.SIGTERM)
    assert group.process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    assert job.record() is None
    assert job.request.exists()


def test_a_group_ends_with_its_standard_input(plan: Plan, tmp_path: Path) -> None:
    group = Group(threads=1)
    (job, _) = of(jobs_of(plan, tmp_path), "hangs")
    group.ask([job.request.resolve()], None)
    while not (job.folder / "progress.json").exists():
        time.sleep(0.05)
    (worker,) = psutil.Process(group.process.pid).children()
    assert group.close(seconds=30) == 1
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running()
    assert job.record() is None


def test_waiting_ends_with_the_first_process_or_descriptor() -> None:
    import subprocess
    import sys

    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.3)"]) as process:
        began = time.monotonic()
        wait_for_any([process], 30)
        assert 0.1 < time.monotonic() - began < 20
    theirs, ours = os.pipe()
    os.write(ours, b"x")
    began = time.monotonic()
    wait_for_any([], 30, theirs)
    assert time.monotonic() - began < 20
    os.close(theirs), os.close(ours)
