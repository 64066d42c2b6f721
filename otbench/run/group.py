"""A process that runs cells one after another, on a cluster: ``python -m otbench.run.group``.

Each cell has a process of its own, with its own time limit, and what goes wrong in one does not
reach the next. What workers import is loaded once; see `otbench.plugins.forking`.

Each line of the standard input is ``{"request": PATH, "timeout": SECONDS or null}``; each line of
the standard output is ``{"request": PATH, "status": STATUS}``, once the record of that cell is
written. The process ends when its standard input ends, or when nothing was asked for a while. Asked
to end by SIGTERM it kills the running worker and records nothing: whoever asked knows the reason.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from otbench.plugins.child import die_with_parent
from otbench.results.job import Job
from otbench.run.executors.bounds import LOOK_SECONDS
from otbench.run.executors.process import CellProcess, fresh, wait_for_any

IDLE_SECONDS = 120.0
SETTLE_SECONDS = 1.0
STANDARD_INPUT = 0
ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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
    cell = CellProcess.start(Job.read(request), fresh(os.environ.get("CUDA_VISIBLE_DEVICES")))
    try:
        while True:
            left = LOOK_SECONDS
            if timeout is not None:
                left = min(left, max(0.0, cell.started + timeout - time.monotonic()))
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


def main() -> int:
    """Run the cells that the standard input names."""
    die_with_parent()

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in ASKED_TO_END:
        signal.signal(number, stop)
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
