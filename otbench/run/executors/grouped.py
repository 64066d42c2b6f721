"""A process that runs cells one after another, seen from the process that starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from otbench.plugins.child import python
from otbench.run.executors.process import variables, wait_for_any


class Group:
    """``python -m otbench.run.group``, which imports what workers need once and forks for each.

    Parameters
    ----------
    threads : int
        CPU threads of a cell.
    offline : bool
        Whether workers are kept from the network.
    errors : file, optional
        Where its standard error goes; by default where that of this process goes.
    """

    def __init__(self, threads: int, offline: bool = True, errors: IO[bytes] | None = None) -> None:
        environment = variables(threads) | ({"OTBENCH_OFFLINE": "1"} if offline else {})
        self.process = subprocess.Popen(
            python("otbench.run.group"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._rest = b""
        self._ended = False

    @property
    def alive(self) -> bool:
        """Whether it can be asked to run something."""
        return not self._ended and self.process.poll() is None

    def ask(self, requests: Iterable[Path], timeout: float | None) -> None:
        """Have it run some cells, in this order."""
        lines = (json.dumps({"request": str(path), "timeout": timeout}) for path in requests)
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write("".join(f"{line}\n" for line in lines).encode())
            self._stdin.flush()

    def answers(self, seconds: float) -> list[dict[str, str]]:
        """Return which cells have ended since the last call, after waiting for the first one.

        Returns
        -------
        list of dict
            ``request`` and ``status``; empty where none has ended within these seconds, or where
            the process itself has; see `alive`.
        """
        wait_for_any([], seconds, self._stdout.fileno())
        got = self._stdout.read()
        self._ended = got == b""
        *lines, self._rest = (self._rest + (got or b"")).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self, seconds: float = 5.0) -> int:
        """End it, together with the cell that it runs; return its exit code."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            wait_for_any([self.process], seconds)
        # Its workers end with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._stdout.close()
        return self.process.wait()
