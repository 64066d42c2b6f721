"""Limits on the memory and on the log of a running cell.

Memory is measured from outside. A limit on the address space (``RLIMIT_AS``) would also count what
CUDA and JAX only reserve, and it would not count the children of the cell.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil

LOG_BYTES, HEAD, TAIL = 4 << 20, 1 << 20, 1 << 20
"""Size of a log above which its middle is removed; bytes kept of its beginning and of its end."""

TRIES = 20
"""How often the end of a log is read again because the cell goes on writing."""

LOOK_SECONDS = 0.5
"""Seconds between two measurements of the memory of a cell."""


class Log:
    """The log of a cell, whose size is limited while the cell writes to it.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.

    Attributes
    ----------
    file : file
        For the cell's standard output and error.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"")
        # In append mode the file can be truncated while another process writes to it.
        self.file: IO[bytes] = path.open("a+b", buffering=0)
        self._head: int | None = None
        self._left_out, self._note = 0, b""

    def bound(self) -> None:
        """Remove the middle of the file if the file is too large."""
        descriptor = self.file.fileno()
        size = os.fstat(descriptor).st_size
        if size <= LOG_BYTES:
            return
        if self._head is None:
            self._head = os.pread(descriptor, HEAD, 0).rfind(b"\n") + 1 or HEAD
        for _ in range(TRIES):
            tail = os.pread(descriptor, TAIL, size - TAIL)
            before, size = size, os.fstat(descriptor).st_size
            # What was written meanwhile would be left out too.
            if size == before:
                break
        tail = tail[tail.find(b"\n") + 1 :]
        self._left_out += size - self._head - len(self._note) - len(tail)
        self._note = f"\n[otbench: {self._left_out:,} bytes were removed here]\n".encode()
        os.ftruncate(descriptor, self._head)
        os.write(descriptor, self._note + tail)

    def close(self) -> None:
        """Limit the size of the file and close it."""
        if not self.file.closed:
            self.bound()
            self.file.close()


class Memory:
    """Memory of a process and of all processes that it started.

    Parameters
    ----------
    leader : int
        Id of the process, which must be the leader of its session.
    limit : int or None
        Bytes; None for no limit.
    """

    def __init__(self, leader: int, limit: int | None) -> None:
        self.leader, self.limit = leader, limit
        self._next = 0.0

    def excess(self) -> str | None:
        """Return a message if the processes use too much memory, else None.

        Measures at most once in `LOOK_SECONDS`, however often it is called.
        """
        if self.limit is None or time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + LOOK_SECONDS
        if (used := self.used()) <= self.limit:
            return None
        return f"used {size_text(used)} of memory; --max-memory allows {size_text(self.limit)}"

    def used(self) -> int:
        """Return the number of bytes in use.

        On Linux, pages that several processes share are counted once (proportional set size). This
        is slower to read than the resident size and is done only if the latter exceeds the limit.
        """
        processes = list(self._processes())
        resident = sum(_known(_resident, process) for process in processes)
        if self.limit is not None and resident <= self.limit:
            return resident
        return sum(_known(_proportional, process) for process in processes)

    def _processes(self) -> Iterator[psutil.Process]:
        """Yield the processes of the session, and descendants that left the session."""
        seen: set[int] = set()
        for pid in psutil.pids():
            try:
                if os.getsid(pid) == self.leader:
                    seen.add(pid)
            except OSError:
                continue
        with contextlib.suppress(psutil.Error):
            seen.update(child.pid for child in psutil.Process(self.leader).children(recursive=True))
        for pid in seen:
            try:
                yield psutil.Process(pid)
            except psutil.Error:
                continue


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return _resident(process)


def _known(look: Callable[[psutil.Process], int], process: psutil.Process) -> int:
    """Return a measurement, or 0 for a process that has ended."""
    try:
        return look(process)
    except psutil.Error:
        return 0


def size_text(size: float) -> str:
    """Format a number of bytes as ``512M`` or ``1.5G``, with powers of 1024."""
    return f"{size / 2**30:.3g}G" if size >= 2**30 else f"{size / 2**20:.3g}M"
