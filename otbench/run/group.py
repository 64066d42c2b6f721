"""A process that runs cells one after another, on a cluster: ``python -m otbench.run.group``.

Importing torch takes seconds, so it is done once, and each cell gets a copy of this process (a
fork) for its worker. A cell still has a process of its own, with its own time limit, and what goes
wrong in one does not reach the next.

Each line of the standard input is ``{"request": PATH, "timeout": SECONDS or null}``; each line of
the standard output is ``{"request": PATH, "status": STATUS}``, once the record of that cell is
written. The process ends when its standard input ends, or when nothing was asked for a while. Asked
to end by SIGTERM it kills the running worker and records nothing: whoever asked knows the reason.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy.random

from otbench.plugins.child import PARENT, die_with_parent
from otbench.results.job import Job
from otbench.run.executors.process import CellProcess, Launch, Process, fresh, wait_for_any
from otbench.run.pages import use_huge_pages

IDLE_SECONDS = 120.0
SETTLE_SECONDS = 1.0
STANDARD_INPUT = 0
ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Fork:
    """A copy of this process that does one thing and ends; see `Process`."""

    def __init__(self, work: Callable[[], int], log: IO[bytes]) -> None:
        parent = os.getpid()
        self.pid = os.fork()
        self._code: int | None = None
        if self.pid == 0:
            _become_worker(work, log, parent)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        code = self._reap(0)
        assert code is not None
        return code

    def _reap(self, flags: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def _become_worker(work: Callable[[], int], log: IO[bytes], parent: int) -> None:
    code = 1
    try:
        os.setsid()
        for number in ASKED_TO_END:
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log.fileno(), 1), (log.fileno(), 2)):
            os.dup2(source, target)
        os.environ[PARENT] = str(parent)
        # Or every cell of this group would draw the same numbers where a method draws from NumPy's
        # global state. Python's own generator is seeded anew by itself, and torch's starts from one
        # seed in every process.
        numpy.random.seed()
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it was, it goes into the log
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def forked(job: Job, log: IO[bytes]) -> tuple[Process, int | None]:
    """Start a worker as a copy of this process."""
    from otbench.run import worker

    return Fork(lambda: worker.main(job.request), log), None


def launcher() -> Launch:
    """Return how to start workers: by a fork where that is safe, as new processes elsewhere.

    A copy of a process that has threads may wait for ever for a lock that one of them held.
    """
    threads = Path("/proc/self/task")
    if sys.platform.startswith("linux") and threads.is_dir() and len(list(threads.iterdir())) == 1:
        return forked
    return fresh(os.environ.get("CUDA_VISIBLE_DEVICES"))


class _Lines:
    """Lines of the standard input, without waiting for one while a cell runs."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.ended = False
        self._rest = b""

    def fetch(self, seconds: float) -> None:
        """Read what has come, and wait for something no longer than some seconds."""
        if self.ended or not select.select([STANDARD_INPUT], [], [], seconds)[0]:
            return
        got = os.read(STANDARD_INPUT, 1 << 20)
        self.ended = not got
        *lines, self._rest = (self._rest + got).split(b"\n")
        self.waiting += [line.decode() for line in lines if line.strip()]


def _run(request: Path, timeout: float | None, lines: _Lines) -> str:
    """Run one cell; return the status of its record."""
    if not request.exists():
        # The job was started again, and this cell had ended before.
        return "ended before"
    cell = CellProcess.start(Job.read(request), launcher())
    try:
        while True:
            left = 3600.0
            if timeout is not None:
                left = max(0.0, cell.started + timeout - time.monotonic())
            listened = [] if lines.ended else [STANDARD_INPUT]
            wait_for_any([cell.process], left, *listened)
            lines.fetch(0)
            if lines.ended:
                raise SystemExit(1)
            record = cell.end(timeout, SETTLE_SECONDS)
            if record is not None:
                return str(record["status"])
    except BaseException:
        cell.kill()
        raise


def _load_what_workers_share() -> None:
    """Import the worker, read the versions of libraries, and parse the suite's own code.

    No plugin is imported or digested: each worker looks at those itself.
    """
    from otbench.plugins.fingerprint import code_digest
    from otbench.plugins.registry import OWN_DISTRIBUTION, Registry
    from otbench.run import worker  # noqa: F401
    from otbench.run.provenance import libraries
    from otbench.scoring.digests import SCORING

    libraries()
    for registry in (Registry("tasks"), Registry("metrics")):
        for plugin in map(registry.get, registry.names()):
            if plugin.distribution == OWN_DISTRIBUTION:
                code_digest(plugin.module, shared=SCORING)
    # Or the garbage collector of each worker would copy what it only looks at.
    gc.collect()
    gc.freeze()
    use_huge_pages()


def main() -> int:
    """Run the cells that the standard input names."""
    die_with_parent()

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in ASKED_TO_END:
        signal.signal(number, stop)
    _load_what_workers_share()
    lines = _Lines()
    while True:
        if not lines.waiting:
            lines.fetch(IDLE_SECONDS)
        if not lines.waiting:
            return 0
        asked = json.loads(lines.waiting.pop(0))
        status = _run(Path(asked["request"]), asked["timeout"], lines)
        sys.stdout.write(json.dumps({"request": asked["request"], "status": status}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
