"""One cell as a process: started, watched, ended, and recorded whatever happened to it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Protocol

from otbench.plugins.child import WATCH_PARENT, environment, python
from otbench.results.cell import read_json
from otbench.results.job import Job
from otbench.results.record import Record
from otbench.results.records import answers, with_failure

POLL_SECONDS = 0.1
NUMERICAL = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Process(Protocol):
    """What is needed of a process; `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""

    def wait(self) -> int:
        """Wait for its end and return the exit code."""


Launch = Callable[[Job, IO[bytes]], tuple[Process, int | None]]
"""Starts a worker whose output goes to a file.

Returns the process, and the descriptor to close once it has ended, if there is one.
"""


def variables(threads: int, gpu: str | None = None) -> dict[str, str]:
    """Return the environment of a process that computes with so many threads, on one GPU.

    Numerical libraries read it when they are loaded, or they start a thread for every core.
    """
    found = environment(PYTHONUNBUFFERED="1") | dict.fromkeys(NUMERICAL, str(threads))
    if threads == 1:
        found["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}".strip()
    if gpu is not None:
        found["CUDA_VISIBLE_DEVICES"] = gpu
    return found


def fresh(gpu: str | None = None) -> Launch:
    """Return what starts a worker as a new Python process."""

    def launch(job: Job, log: IO[bytes]) -> tuple[Process, int | None]:
        theirs, ours = os.pipe()
        # Everything was fetched before the run; a cell that tried again could end up with other
        # data.
        more = {WATCH_PARENT: str(theirs), "OTBENCH_OFFLINE": "1"}
        process = subprocess.Popen(
            python("otbench.run.worker", str(job.request.resolve())),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=variables(job.cell.threads, gpu) | more,
            start_new_session=True,
        )
        os.close(theirs)
        return process, ours

    return launch


@dataclass
class CellProcess:
    """A worker at work on a cell.

    Attributes
    ----------
    job : Job
    process : Process
    log : file
    watch : int or None
        A descriptor that tells the worker, by being closed, that its parent has ended.
    started : float
        On the monotonic clock.
    started_at : str
        The same for records.
    """

    job: Job
    process: Process
    log: IO[bytes]
    watch: int | None
    started: float
    started_at: str

    @classmethod
    def start(cls, job: Job, launch: Launch) -> CellProcess:
        """Start a worker."""
        (job.folder / "progress.json").unlink(missing_ok=True)
        log = (job.folder / "cell.log").open("wb")
        process, watch = launch(job, log)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(job, process, log, watch, time.monotonic(), now)

    def end(self, timeout: float | None, settle: float = 0.0) -> Record | None:
        """Return the record of a cell whose process has ended or is out of time; else None.

        Parameters
        ----------
        timeout : float or None
            Seconds, wall-clock, after which it is killed.
        settle : float
            Seconds to wait before a process that died of a signal is taken for the only victim:
            what ends a whole job on a cluster ends its processes in any order.
        """
        code = self.process.poll()
        if code is None:
            if timeout is None or time.monotonic() - self.started < timeout:
                return None
            self.kill()
            return self.fail("timeout", f"killed after {timeout:g} s")
        if code < 0:
            time.sleep(settle)
        # What a method started may live on.
        self.kill()
        if code != 0:
            return self.fail(*_explain(code))
        record = self.job.record()
        if record is None or not answers(self.job, record):
            reason = "the process ended without a record of its own; see cell.log"
            return self.fail("failed", reason)
        self.job.request.unlink(missing_ok=True)
        return record

    def kill(self) -> None:
        """Kill the worker and what it started; nothing is recorded."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
        # The whole group: a method may have started processes of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()
        if self.watch is not None:
            os.close(self.watch)
            self.watch = None

    def fail(self, status: str, reason: str) -> Record:
        """Write a record for a worker that could not write its own; a better one stays."""
        record = with_failure(
            self.job, self.job.record(), status, reason, started_at=self.started_at
        )
        self.job.request.unlink(missing_ok=True)
        return record


def _explain(code: int) -> tuple[str, str]:
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return "oom", "killed by the system, most likely for want of memory"
    if code < 0:
        return "failed", f"the process died of {signal.Signals(-code).name}; see cell.log"
    return "failed", f"the process ended with exit code {code}; see cell.log"


def progress_of(job: Job) -> dict[str, Any]:
    """Return what a worker wrote of its progress; empty where it wrote nothing yet."""
    try:
        return read_json(job.folder / "progress.json")
    except (OSError, ValueError):
        return {}


def wait_for_any(processes: Iterable[Process], seconds: float, *descriptors: int) -> None:
    """Wait until a process ends or a descriptor can be read, and no longer than some seconds."""
    opened: list[int] = []
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    try:
        for process in processes:
            opened.append(os.pidfd_open(process.pid))
            poll.register(opened[-1], select.POLLIN)
    except (AttributeError, OSError):
        # Not Linux, or one of long ago.
        seconds = min(seconds, POLL_SECONDS)
    try:
        poll.poll(1000 * seconds)
    finally:
        for descriptor in opened:
            os.close(descriptor)
