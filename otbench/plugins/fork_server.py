"""A process that forks the suite's other processes: ``python -m otbench.plugins.fork_server``.

Importing torch takes seconds, and other libraries as long. This process imports them once, and
each process of the suite starts as a copy of it (a fork) within milliseconds. No plugin is imported
here, so nothing that a plugin does reaches another process.

Its arguments name functions, ``module:function``, that load what the copies share. Each line of the
standard input is a request::

    {"id": 1, "module": "otbench.run.worker", "arguments": ["request.json"], "folder": "/work",
     "environment": {"PATH": "..."}, "stdout": "/work/cell.log", "stderr": null}

which runs a module as ``python -P -m`` does. Each line of the standard output is an answer:
``{"id": 1, "pid": 17}`` for the start and ``{"id": 1, "code": 0}`` for the end, negative for a
signal. The process ends when its standard input ends, or when it was idle for a while.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy.random

from otbench.plugins.child import PARENT, die_with_parent
from otbench.plugins.pages import use_huge_pages

IDLE_SECONDS = 120.0
STANDARD_INPUT = 0

LIBRARIES = (
    "torch._dynamo", "ot", "sklearn.linear_model", "sklearn.cluster", "scipy.stats", "pandas",
    "matplotlib.pyplot", "jax", "optax", "ott", "numba",
)  # fmt: skip
"""Libraries that are imported here once a copy has needed them; none starts a thread on import."""

HARMLESS_THREADS = ("jemalloc_bg_thd",)
"""Threads that survive a fork, by name: the allocator starts its own again in the copy."""


def main() -> int:
    """Fork what the standard input asks for."""
    die_with_parent()
    # Python and JAX warn of every fork of a process that has threads; see `_is_safe`.
    warnings.filterwarnings("ignore", message=".*fork", category=RuntimeWarning)
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    for name in sys.argv[1:]:
        module, _, function = name.partition(":")
        getattr(importlib.import_module(module), function)()
    return _Server().run()


class _Server:
    def __init__(self) -> None:
        self.ids: dict[int, int] = {}
        self.rest = b""
        self.used, self.uses = os.pipe()
        os.set_blocking(self.used, False)
        # Ends of copies wake the loop below.
        self.woken, waker = os.pipe()
        for descriptor in (self.woken, waker):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waker)
        _settle()

    def run(self) -> int:
        while True:
            wait = None if self.ids else IDLE_SECONDS
            ready = select.select([STANDARD_INPUT, self.woken], [], [], wait)[0]
            if not ready:
                return 0
            if self.woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.woken, 4096)
                self._reap()
            if STANDARD_INPUT in ready:
                got = os.read(STANDARD_INPUT, 1 << 20)
                if not got:
                    return 0
                *lines, self.rest = (self.rest + got).split(b"\n")
                for line in filter(None, lines):
                    self._start(json.loads(line))

    def _start(self, asked: dict[str, Any]) -> None:
        self._import_what_was_needed()
        if not _is_safe():
            _answer(id=asked["id"], pid=None)
            return
        parent = os.getpid()
        # The copy begins when its start is known: it might kill this process.
        known, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(known, 1)
            _become(asked, parent, self.uses)
        os.close(known)
        self.ids[pid] = asked["id"]
        _answer(id=asked["id"], pid=pid)
        os.close(go)

    def _reap(self) -> None:
        while self.ids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _answer(id=self.ids.pop(pid), code=os.waitstatus_to_exitcode(status))

    def _import_what_was_needed(self) -> None:
        needed = b""
        with contextlib.suppress(BlockingIOError):
            needed = os.read(self.used, 1 << 16)
        names = [name for name in LIBRARIES if name in needed.decode().split()]
        if new := [name for name in names if name not in sys.modules]:
            for name in new:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
            _settle()


def _answer(**content: Any) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def _settle() -> None:
    """Prepare what is loaded for being copied."""
    # Or the garbage collector of each copy would write to what it only looks at.
    gc.collect()
    gc.freeze()
    use_huge_pages()


def _is_safe() -> bool:
    """Return whether a copy works: it may wait for ever for a lock that another thread held."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return False
    names = [(task / "comm").read_text().strip() for task in tasks.iterdir()]
    return sum(name not in HARMLESS_THREADS for name in names) == 1


def _become(asked: dict[str, Any], parent: int, uses: int) -> None:
    """Turn this copy into the process that was asked for, and end with it."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.environ[PARENT] = str(parent)
        os.chdir(asked["folder"])
        _redirect(asked)
        # Or all copies would draw the same numbers where a method draws from NumPy's global state.
        # Python's own generator is seeded anew by itself, and torch's starts from one seed in
        # every process.
        numpy.random.seed()
        sys.argv = [asked["module"], *asked["arguments"]]
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it was, it is printed
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        with contextlib.suppress(OSError):
            os.write(uses, "".join(f"{x} " for x in LIBRARIES if x in sys.modules).encode())
        os._exit(code)


def _redirect(asked: dict[str, Any]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, asked["stdout"]), (2, asked["stderr"])):
        with contextlib.suppress(OSError):
            found = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.dup2(found, number)
            os.close(found)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
