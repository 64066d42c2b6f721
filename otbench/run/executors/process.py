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
from pathlib import Path
from typing import IO

from otbench.plugins.child import WATCH_PARENT, computing, kill_group, python
from otbench.plugins.forking import SERVER_ENDED, Process, fork
from otbench.results.job import Job
from otbench.results.progress import FILE
from otbench.results.record import Record
from otbench.results.records import answers, with_failure
from otbench.run.executors.bounds import Log, Memory

POLL_SECONDS = 0.1


Launch = Callable[[Job, IO[bytes]], tuple[Process, int | None]]
"""Starts a worker whose output goes to a file.

Returns the process, and the descriptor to close once it has ended, if there is one.
"""


def visible_device(slot: int, gpus: int) -> str | None:
    """Return the CUDA device of this machine that a slot computes on; None on a CPU."""
    if not gpus:
        return None
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    index = slot % gpus
    return listed.split(",")[index] if listed else str(index)


def fresh(gpu: str | None = None) -> Launch:
    """Return what starts a worker, on one GPU if it is named."""

    def launch(job: Job, log: IO[bytes]) -> tuple[Process, int | None]:
        # Everything was fetched before the run; a cell that tried again could end up with other
        # data.
        env = computing(job.cell.threads, gpu) | {"OTBENCH_OFFLINE": "1"}
        request, output = str(job.request.resolve()), str(Path(log.name).resolve())
        process = fork("otbench.run.worker", request, env=env, stdout=output, stderr=output)
        if process is not None:
            return process, None
        theirs, ours = os.pipe()
        process = subprocess.Popen(
            python("otbench.run.worker", request),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env | {WATCH_PARENT: str(theirs)},
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
    log : Log
    memory : Memory
    watch : int or None
        A descriptor that tells the worker, by being closed, that its parent has ended.
    started : float
        On the monotonic clock.
    started_at : str
        The same for records.
    """

    job: Job
    process: Process
    log: Log
    memory: Memory
    watch: int | None
    started: float
    started_at: str

    @classmethod
    def start(cls, job: Job, launch: Launch) -> CellProcess:
        """Start a worker."""
        (job.folder / FILE).unlink(missing_ok=True)
        log = Log(job.folder / "cell.log")
        process, watch = launch(job, log.file)
        memory = Memory(process.pid, job.max_memory)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(job, process, log, memory, watch, time.monotonic(), now)

    def end(self, timeout: float | None, settle: float = 0.0) -> Record | None:
        """Return the record of a cell whose process has ended or exceeds a limit; else None.

        To be called now and then while it runs: its log is kept short, and its memory looked at.

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
            self.log.bound()
            if timeout is not None and time.monotonic() - self.started >= timeout:
                self.kill()
                return self.fail("timeout", f"killed after {timeout:g} s")
            if excess := self.memory.excess():
                self.kill()
                return self.fail("oom", excess)
            return None
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
        kill_group(self.process.pid)
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
    if code == SERVER_ENDED:
        return "failed", "something killed the process that all cells are copied from"
    if code < 0:
        return "failed", f"the process died of {signal.Signals(-code).name}; see cell.log"
    return "failed", f"the process ended with exit code {code}; see cell.log"


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
