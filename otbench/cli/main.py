"""The command ``otbench``; heavy libraries are imported only by the commands that need them."""

from __future__ import annotations

import argparse
import errno
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from otbench._version import __version__
from otbench.cli import (
    check,
    compare,
    data,
    leaderboard,
    ls,
    reproduce,
    run,
    show,
    status,
    sysinfo,
    tune,
)
from otbench.errors import OTBenchError
from otbench.extras import install_hint

DESCRIPTION = "A comparative benchmark suite for optimal-transport autoencoders."
EPILOG = """\
quick start:
  otbench run --preset smoke                         does everything run? two minutes on a CPU
  otbench run --methods all --dataset mnist          the default: a leaderboard in ten minutes
  otbench run --methods ae "path-energy[alpha=[1,3]]" --dataset mnist --seeds 5
  otbench show path-energy                           what a method does, and its parameters

exit codes:
  0 all cells ok, reused, or skipped with a reason   1 finished, but some cells failed or collapsed
  2 wrong usage, nothing started                     3 nothing could run (data missing)
  130 interrupted, finished cells are kept
"""
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that request the end of a process; Windows lacks one of them."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a full or read-only file system."""

VERBS = (run, status, reproduce, tune, ls, show, check, data, leaderboard, compare, sysinfo)


class Ended(KeyboardInterrupt):
    """A signal requested the end of the process."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = signal.Signals(number)


@contextmanager
def _ends_as_interrupted() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C: end the command in order and keep finished cells."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    parser = argparse.ArgumentParser(
        prog="otbench",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"otbench-suite {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for verb in VERBS:
        verb.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    if sys.platform == "win32":
        sys.stderr.write("otbench runs on Linux and macOS; on Windows use WSL\n")
        return 2
    for stream in (sys.stdout, sys.stderr):
        # Characters that a pipe or terminal cannot show are replaced instead of raising an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser().parse_args(given)
    options.arguments = given[1:]
    verb = next(module for module in VERBS if module.__name__.endswith(f".{options.verb}"))
    try:
        with _ends_as_interrupted():
            return verb.run(options)
    except Ended as end:
        sys.stderr.write(f"otbench: ended by {end.signal.name}; finished cells are kept\n")
        return 128 + end.signal
    except OTBenchError as error:
        sys.stderr.write(f"otbench: {error}\n")
        return error.exit_code
    except ModuleNotFoundError as error:
        hint = install_hint(error)
        if hint is None:
            raise
        sys.stderr.write(f"otbench: {hint}\n")
        return 3
    except KeyboardInterrupt:
        sys.stderr.write("otbench: interrupted; finished cells are kept\n")
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno not in FULL:
            raise
        sys.stderr.write(
            f"otbench: {error.strerror} at {error.filename}; what was finished is kept, make room "
            "and run the command again\n"
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
