"""Progress of a fetch: a bar on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 5.0


_listeners: list[Callable[[], None]] = []


def on_arrival(listener: Callable[[], None]) -> None:
    """Call something whenever bytes have arrived, in a process whose time is limited."""
    _listeners.append(listener)


def say(message: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"otbench: {message}\n")
    sys.stderr.flush()


@contextmanager
def transfer(what: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a transfer; the caller tells the yielded function how many bytes have arrived.

    Parameters
    ----------
    what : str
        Description of the transfer and its origin.
    total : int or None
        Total number of bytes, or None if unknown.
    done : int
        Number of bytes from an earlier attempt.
    """
    shown = _bar if sys.stderr.isatty() else _lines
    with shown(what, total, done) as advance:

        def arrived(count: int) -> None:
            for listener in _listeners:
                listener()
            advance(count)

        yield arrived


@contextmanager
def _bar(what: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _lines(what: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    whole = f"of {total / 1e6:.1f} MB" if total else "so far"
    resumed = f", {done / 1e6:.1f} MB are here already" if done else ""
    say(f"{what}{f' ({total / 1e6:.1f} MB)' if total else ''}{resumed}")
    last = time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{what}: {done / 1e6:.1f} MB {whole}")

    yield advance
