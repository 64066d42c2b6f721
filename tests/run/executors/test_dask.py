"""The executor `dask`, on clusters in this process and on one of processes that are killed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otbench.errors import DataError, UsageError
from otbench.results.job import Job
from otbench.run.executors import dask_worker
from otbench.run.executors.dask import DaskExecutor
from otbench.run.request import Plan
from tests.run.executors.running import (
    Watched,
    execute,
    jobs_of,
    outcome_of,
    plan_of,
    statuses,
    values,
)

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of("plain", "dies", seeds=2)


@pytest.fixture(scope="module")
def shared(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Job], Watched]:
    """Cells that ran where every worker sees the results folder, and what was observed."""
    out = tmp_path_factory.mktemp("shared")
    jobs, watched = jobs_of(plan, out), Watched()
    execute(DaskExecutor(), jobs, out, watched)
    assert not [path for path in out.iterdir() if path.name.startswith(".otbench-")]
    return jobs, watched


def test_records_lie_in_a_results_folder_that_all_see(shared: tuple[list[Job], Watched]) -> None:
    jobs, watched = shared
    watched.check(jobs)
    found = [record["status"] for record in watched.records.values()]
    assert sorted(found) == ["failed", "failed", "ok", "ok"]
    assert {record["reason"] for record in watched.records.values()} == {
        None, "the process died of SIGSEGV; see cell.log",
    }  # fmt: skip


def test_records_travel_where_workers_see_no_results_folder(
    plan: Plan,
    shared: tuple[list[Job], Watched],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workers of this cluster are threads of this process, so they can be made blind."""
    monkeypatch.setattr(dask_worker, "sees", _blind)
    jobs, watched, said = jobs_of(plan, tmp_path), Watched(), list[str]()
    execute(DaskExecutor(models=True), jobs, tmp_path, watched, jobs=1, say=said.append)
    watched.check(jobs)
    assert values(jobs) == values(shared[0])
    assert any("1 of 1 workers do not see" in line for line in said)
    for job in jobs:
        trained = job.cell.method == "plain"
        assert (job.folder / "model").is_dir() == trained
        assert (job.folder / "cell.log").read_text().strip() or not trained
        assert not list(job.folder.glob("*.tmp"))

    # The model travels there, and is scored without another training.
    (job, *_) = (job for job in jobs if job.cell.method == "plain")
    again = dataclasses.replace(job, attempt="again", rescore=True)
    again.write()
    watched = Watched()
    execute(DaskExecutor(), [again], tmp_path, watched, jobs=1)
    watched.check([again])
    assert "scoring the model that lies here" in (again.folder / "cell.log").read_text()


def _blind(marker: str) -> bool:
    return False


def test_files_of_a_worker_stay_in_the_cells_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not below"):
        dask_worker.unpack({"../elsewhere": b""}, tmp_path / "cell")
    assert not (tmp_path / "elsewhere").exists()
    assert dask_worker.known_names({"record.json": b"", "model/state.safetensors": b""})
    assert not dask_worker.known_names({"request-1.json": b""})


def test_without_a_scheduler_nothing_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otbench.run.executors.dask.CONNECT_SECONDS", 0.2)
    for address in ("tcp://127.0.0.1:9", "nonsense:"):
        with pytest.raises(UsageError, match=f"no Dask scheduler answers at {address}"):
            DaskExecutor(scheduler=address).check()


def test_a_missing_extra_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'otbench-suite\[dask\]'"):
        DaskExecutor().check()


UNSHARE = ("unshare", "--mount")
"""Gives a command file systems of its own; root may."""


def cannot_hide() -> bool:
    """Tell whether a folder cannot be hidden from a process here."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        return True
    tried = subprocess.run([*UNSHARE, "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True)
    return tried.returncode != 0


class Processes:
    """A Dask cluster whose scheduler and workers can be killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self.start_scheduler()
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_workers(self, number: int = 2) -> None:
        self.workers += [self.start_worker() for _ in range(number)]

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        return self._start("scheduler", "--port", str(self.port), "--no-dashboard")

    def start_worker(self, blind_to: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a worker; one that is blind to a folder has an empty one in its place."""
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        return self._start("worker", self.address, *options, blind_to=blind_to)

    def _start(
        self, what: str, *arguments: str, blind_to: Path | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "distributed.cli.dask_" + what, *arguments]
        if blind_to is not None:
            hide = 'mount -t tmpfs none "$0" && exec "$@"'
            command = [*UNSHARE, "sh", "-c", hide, str(blind_to), *command]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    made = Processes(tmp_path, port)
    made.start_workers()
    yield made
    made.end()


def when_at_work(folder: Path, cells: int, do: Callable[[], Any]) -> threading.Thread:
    """Do something once so many cells are at work."""

    def wait() -> None:
        while len(list(folder.rglob("progress.json"))) < cells:
            time.sleep(0.05)
        do()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(cluster: Processes, tmp_path: Path) -> None:
    out = tmp_path / "results"

    def kill() -> None:
        cluster.workers[0].kill()

    thread = when_at_work(out, 2, kill)
    outcome = outcome_of(DaskExecutor(scheduler=cluster.address), out, "plain[seconds=4]", seeds=4)
    thread.join()
    assert set(statuses(outcome).values()) == {"ok"}
    assert cluster.workers[0].wait() == -signal.SIGKILL
    assert cluster.workers[1].poll() is None


@pytest.mark.slow
def test_a_scheduler_that_is_killed_and_comes_back_loses_nothing(
    cluster: Processes, tmp_path: Path
) -> None:
    out = tmp_path / "results"

    def kill() -> None:
        cluster.scheduler.kill()
        cluster.scheduler.wait()
        for worker in cluster.workers:
            worker.wait()
        cluster.scheduler = cluster.start_scheduler()
        cluster.workers = []
        cluster.start_workers(1)

    thread = when_at_work(out, 3, kill)
    outcome = outcome_of(DaskExecutor(scheduler=cluster.address), out, "plain[seconds=3]", seeds=5)
    thread.join()
    assert set(statuses(outcome).values()) == {"ok"}


@pytest.mark.slow
def test_a_scheduler_that_stays_away_leaves_what_was_finished(
    cluster: Processes, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    thread = when_at_work(out, 3, lambda: cluster.scheduler.kill())
    executor = DaskExecutor(scheduler=cluster.address, patience=5.0)
    outcome = outcome_of(executor, out, "plain[seconds=3]", seeds=6)
    thread.join()
    found = statuses(outcome)
    assert set(found.values()) == {"ok", "interrupted"}
    reasons = {record["reason"] for record in outcome.records} - {None}
    assert reasons == {f"the Dask scheduler at {cluster.address} does not answer any more"}
    # The same command on this machine does the rest.
    rest = outcome_of(DaskExecutor(), out, "plain[seconds=3]", seeds=6, jobs=2)
    assert rest.reused == list(found.values()).count("ok")
    assert set(statuses(rest).values()) == {"ok"}


@pytest.mark.slow
@pytest.mark.skipif(cannot_hide(), reason="only root can hide a folder from a process")
def test_a_worker_without_the_results_folder_is_killed_and_loses_nothing(
    cluster: Processes, tmp_path: Path
) -> None:
    """Both workers see an empty folder in the place of results; the second one comes too late."""
    out = tmp_path / "results"
    out.mkdir()
    for worker in cluster.workers:
        worker.kill()
        worker.wait()
    cluster.workers = [cluster.start_worker(blind_to=out), cluster.start_worker(blind_to=out)]

    thread = when_at_work(out, 2, lambda: cluster.workers[0].kill())
    executor = DaskExecutor(scheduler=cluster.address, models=True)
    outcome = outcome_of(executor, out, "plain[seconds=4]", seeds=4)
    thread.join()
    assert set(statuses(outcome).values()) == {"ok"}
    assert cluster.workers[0].wait() == -signal.SIGKILL
    for job in outcome.jobs:
        assert list((job.folder / "model").iterdir())
        assert "fit: " in (job.folder / "cell.log").read_text()


@pytest.mark.slow
def test_a_cell_that_kills_what_runs_it_is_given_up(cluster: Processes, tmp_path: Path) -> None:
    """One kills the process that runs cells, one the worker, as often as they are tried."""
    cluster.start_workers(3)
    outcome = outcome_of(
        DaskExecutor(scheduler=cluster.address, retries=1), tmp_path / "results",
        "kills-its-parent", "kills-its-grandparent", "plain",
    )  # fmt: skip
    reasons = {job.cell.method: (outcome.record(job) or {})["reason"] for job in outcome.jobs}
    assert reasons == {
        "kills-its-parent":
            "its Dask task failed: RuntimeError: the process that runs cells ended with code -9",
        "kills-its-grandparent": "the Dask workers that ran it died, one after another",
        "plain": None,
    }  # fmt: skip


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_process(cluster: Processes, tmp_path: Path) -> None:
    import _thread

    import psutil

    out = tmp_path / "results"
    thread = when_at_work(out, 2, lambda: (time.sleep(1), _thread.interrupt_main()))
    with pytest.raises(KeyboardInterrupt):
        outcome_of(DaskExecutor(scheduler=cluster.address), out, "hangs", seeds=3)
    thread.join()
    deadline = time.monotonic() + 20
    while any(psutil.Process(worker.pid).children() for worker in cluster.workers):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert not list(out.rglob("request-*"))
    assert os.listdir(out / "cells" / "few")
