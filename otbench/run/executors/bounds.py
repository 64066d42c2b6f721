"""Bounds on what a cell takes while it runs: memory, and the length of its log.

Memory is looked at from outside. A limit on the address space (``RLIMIT_AS``) would hit CUDA and
JAX, which reserve far more than they use, and a child of the cell would not count.
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
"""Size of a log at which its middle goes, and what is kept of its beginning and its end."""

TRIES = 20
"""How often the end of a log is read again because the cell goes on writing."""

LOOK_SECONDS = 0.5
"""Seconds between two looks at the memory of a cell."""


class Log:
    """The log of a cell, which the cell writes to and which is kept from growing.

    Parameters
    ----------
    path : Path
        What was there is replaced.

    Attributes
    ----------
    file : file
        For the cell's standard output and error.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"")
        # To append is what lets a file be cut while another process writes to it.
        self.file: IO[bytes] = path.open("a+b", buffering=0)
        self._head: int | None = None
        self._left_out, self._note = 0, b""

    def bound(self) -> None:
        """Take the middle out of the file if it is too long."""
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
        self._note = f"\n[otbench: {self._left_out:,} bytes are left out here]\n".encode()
        os.ftruncate(descriptor, self._head)
        os.write(descriptor, self._note + tail)

    def close(self) -> None:
        """Close the file; what is in it has its bound."""
        if not self.file.closed:
            self.bound()
            self.file.close()


class Memory:
    """The memory of a process and of all that it started.

    Parameters
    ----------
    leader : int
        The process, which leads a session of its own.
    limit : int or None
        Bytes; None for no limit.
    """

    def __init__(self, leader: int, limit: int | None) -> None:
        self.leader, self.limit = leader, limit
        self._next = 0.0

    def excess(self) -> str | None:
        """Return a reason to end the process, or None.

        Looks only now and then, however often it is called.
        """
        if self.limit is None or time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + LOOK_SECONDS
        if (used := self.used()) <= self.limit:
            return None
        return f"used {size_text(used)} of memory; --max-memory allows {size_text(self.limit)}"

    def used(self) -> int:
        """Return the bytes in use.

        Pages that several processes share count once, in equal parts, where that can be told
        (Linux, proportional set size); that is looked up only where they could exceed the limit.
        """
        processes = list(self._processes())
        resident = sum(_known(_resident, process) for process in processes)
        if self.limit is not None and resident <= self.limit:
            return resident
        return sum(_known(_proportional, process) for process in processes)

    def _processes(self) -> Iterator[psutil.Process]:
        """Yield the members of the session, and descendants that left it."""
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
    """Return what a look finds; 0 for a process that has ended."""
    try:
        return look(process)
    except psutil.Error:
        return 0


def size_text(size: float) -> str:
    """Write a number of bytes as ``512M`` or ``1.5G``, in powers of 1024."""
    return f"{size / 2**30:.3g}G" if size >= 2**30 else f"{size / 2**20:.3g}M"
