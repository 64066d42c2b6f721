"""Commands and environments of the suite's own Python processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

KEPT_JAX = ("JAX_PLATFORM", "JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
"""Prefixes of JAX variables that are kept: they affect device and speed, but not results."""


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the suite.

    The working directory is not searched for modules (``-P``), so a ``random.py`` or another
    checkout there is never executed.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child process.

    It omits the variables of git, those of JAX that change results, and relative entries of
    ``PYTHONPATH``. Variables of numerical libraries (``OMP_*``, ``MKL_*``, ``ONEDNN_*``,
    ``ATEN_*``) are passed on.

    Parameters
    ----------
    **more
        Variables to add.
    """
    clean = {name: value for name, value in os.environ.items() if not _bends(name)}
    entries = clean.pop("PYTHONPATH", "").split(os.pathsep)
    if absolute := [entry for entry in entries if Path(entry).is_absolute()]:
        clean["PYTHONPATH"] = os.pathsep.join(absolute)
    return clean | {"PYTHONIOENCODING": "utf-8", PARENT: str(os.getpid())} | more


def _bends(name: str) -> bool:
    return name.startswith("GIT_") or (name.startswith("JAX_") and not name.startswith(KEPT_JAX))


PARENT = "OTBENCH_PARENT"
"""Variable with the id of the process whose end also ends a child of the suite."""

WATCH_PARENT = "OTBENCH_WATCH_PARENT"
"""Names the pipe whose other end the parent holds: a child ends when that closes."""

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this process when its parent ends, even if this process holds the GIL (Linux only).

    The function does nothing on other systems, or in a process that the suite did not start.
    """
    parent = os.environ.get(PARENT)
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        # The parent ended before the signal was requested.
        os._exit(130)
