"""Cells on this machine: a few slots, one process a cell, a hard timeout."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from otbench.plugins.child import environment, python
from otbench.results.job import Job
from otbench.results.progress import read_progress
from otbench.results.record import Record
from otbench.results.records import answers, with_failure
from otbench.run.executors.base import Executor, ExecutorOptions, Observer

POLL_SECONDS = 0.1
WATCH_PARENT = "OTBENCH_WATCH_PARENT"
"""Names the pipe whose other end this process holds: a worker ends when that closes."""


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    watch: int
    slot: int
    started: float
    started_at: str


class LocalExecutor(Executor):
    """A pool of slots; the longest jobs start first, so that no long one is left for the end."""

    def run(self, jobs: list[Job], options: ExecutorOptions, observe: Observer) -> None:
        """Run all jobs."""
        waiting = sorted(jobs, key=lambda job: -job.cost)
        running: list[_Running] = []
        free = list(range(options.jobs))
        try:
            while waiting or running:
                while waiting and free:
                    running.append(_start(waiting.pop(0), free.pop(0), options))
                    observe(running[-1].job, "started", {})
                time.sleep(POLL_SECONDS)
                for entry in list(running):
                    record = _end(entry, options.timeout)
                    if record is None:
                        observe(entry.job, "progress", read_progress(entry.job.folder))
                        continue
                    running.remove(entry)
                    free.append(entry.slot)
                    observe(entry.job, "ended", record)
        except BaseException:
            for entry in running:
                _kill(entry)
                record = _write_record(entry, "interrupted", "the run was stopped")
                observe(entry.job, "ended", record)
            raise


def _start(job: Job, slot: int, options: ExecutorOptions) -> _Running:
    (job.folder / "progress.json").unlink(missing_ok=True)
    # Everything was fetched before the run; a cell that tried again could end up with other data.
    theirs, ours = os.pipe()
    variables = environment(
        **{WATCH_PARENT: str(theirs), "PYTHONUNBUFFERED": "1", "OTBENCH_OFFLINE": "1"}
    )
    threads = str(job.cell.threads)
    # Before the numerical libraries load, or they start a thread for every core.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        variables[name] = threads
    if job.cell.threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    if options.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = _visible_device(slot % options.gpus)
    log = (job.folder / "cell.log").open("wb")
    process = subprocess.Popen(
        python("otbench.run.worker", str(job.request.resolve())),
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=variables,
        start_new_session=True,
    )
    os.close(theirs)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return _Running(job, process, log, ours, slot, time.monotonic(), now)


def _visible_device(index: int) -> str:
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return listed.split(",")[index] if listed else str(index)


def _end(entry: _Running, timeout: float | None) -> dict[str, Any] | None:
    """Return the record of a cell whose process has ended or is out of time; else None."""
    code = entry.process.poll()
    if code is None:
        if timeout is None or time.monotonic() - entry.started < timeout:
            return None
        _kill(entry)
        return _write_record(entry, "timeout", f"killed after {timeout:g} s")
    # What a method started may live on.
    _kill(entry)
    if code != 0:
        return _write_record(entry, *_explain(code))
    record = entry.job.record()
    if record is None or not answers(entry.job, record):
        reason = "the process ended without a record of its own; see cell.log"
        return _write_record(entry, "failed", reason)
    return record


def _explain(code: int) -> tuple[str, str]:
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return "oom", "killed by the system, most likely for want of memory"
    if code < 0:
        return "failed", f"the process died of {signal.Signals(-code).name}; see cell.log"
    return "failed", f"the process ended with exit code {code}; see cell.log"


def _kill(entry: _Running) -> None:
    # The whole group: a method may have started processes of its own.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(entry.process.pid, signal.SIGKILL)
    entry.process.wait()
    _close(entry)


def _close(entry: _Running) -> None:
    entry.job.request.unlink(missing_ok=True)
    entry.log.close()
    os.close(entry.watch)


def _write_record(entry: _Running, status: str, reason: str) -> Record:
    """Write a record for a process that could not write its own; a better one stays."""
    job = entry.job
    return with_failure(job, job.record(), status, reason, started_at=entry.started_at)
