"""Processes of the suite as copies of one that has imported what they need."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from otbench.plugins.child import NUMERICAL, kill_group, python

PRELOAD = ("otbench.run.preload:load",)
"""Functions, by name, that load what processes of the suite share."""

READ_ON_IMPORT = (
    "OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "NUMBA_", "XLA_", "JAX_", "ONEDNN_", "ATEN_",
    "DNNL_", "TORCH", "PYTORCH_", "CUDA_", "NVIDIA_", "LD_", "MALLOC_", "PYTHON", "MPL", "HOME",
)  # fmt: skip
"""Prefixes of variables that libraries read when they are imported."""

SERVER_ENDED = -1000
"""Exit code of a process that ended because the one that it was copied from was ended."""

_servers: dict[object, _Server] = {}


class Process(Protocol):
    """A child process; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code."""


def fork(
    module: str,
    *arguments: str,
    env: Mapping[str, str],
    stdout: str = os.devnull,
    stderr: str | None = None,
) -> Process | None:
    """Run a module of the suite as ``python -P -m MODULE`` would, in a copy of a loaded process.

    The loaded process is started by the first call and shared by later ones that have the same
    variables of numerical libraries. It ends when this process or this thread ends, or after two
    idle minutes.

    Parameters
    ----------
    module : str
        Dotted name.
    *arguments : str
    env : mapping
        The whole environment.
    stdout, stderr : str
        Files to append to. By default the standard output is dropped, and the standard error is
        that of this process.

    Returns
    -------
    Process or None
        It leads a session and a group of its own. None where a copy would not be safe: on systems
        other than Linux, and where libraries compute with several threads, which they start when
        they are imported. Start a process in the ordinary way then.
    """
    if not sys.platform.startswith("linux") or env.get(NUMERICAL[0]) != "1":
        return None
    asked = {
        "module": module,
        "arguments": list(arguments),
        "folder": os.getcwd(),
        "environment": dict(env),
        "stdout": stdout,
        "stderr": stderr or f"/proc/{os.getpid()}/fd/2",
    }
    server = _server(env)
    process = server.start(asked)
    if process is None and not server.alive:
        # It was idle for too long, or something killed it.
        process = _server(env).start(asked)
    return process


def _server(env: Mapping[str, str]) -> _Server:
    key = _key(env)
    if key not in _servers or not _servers[key].alive:
        for old in [k for k, server in _servers.items() if not server.alive]:
            _servers.pop(old).close()
        _servers[key] = _Server(env)
    return _servers[key]


@contextlib.contextmanager
def started(
    module: str, *arguments: str, env: Mapping[str, str], stderr: str | None = None
) -> Iterator[Process]:
    """Run a module of the suite that answers by a file; kill it, and all it started, at the end.

    It has a session of its own, so that a signal meant for the suite does not reach it first. It
    reads nothing, and its standard output is dropped.

    Parameters
    ----------
    module : str
        Dotted name.
    *arguments : str
    env : mapping
        The whole environment.
    stderr : str, optional
        File to append its standard error to, by default that of this process.
    """
    process = fork(module, *arguments, env=env, stderr=stderr)
    if process is None:
        with open(stderr, "ab") if stderr else contextlib.nullcontext() as errors:
            process = subprocess.Popen(
                python(module, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=dict(env),
                start_new_session=True,
            )
    try:
        yield process
    finally:
        kill_group(process.pid)
        process.wait()


def _key(env: Mapping[str, str]) -> object:
    """Return what decides which process is copied."""
    read = frozenset(item for item in env.items() if item[0].startswith(READ_ON_IMPORT))
    # Linux ends a child when the thread that started it ends.
    return threading.get_ident(), _newest(), read


def _newest() -> int:
    """Return when the suite's own code was last changed."""
    return max(path.stat().st_mtime_ns for path in _own_files())


@cache
def _own_files() -> tuple[Path, ...]:
    return tuple(Path(__file__).parents[1].rglob("*.py"))


class _Server:
    def __init__(self, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            python("otbench.plugins.fork_server", *PRELOAD),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self.stdout.fileno(), False)
        self.answers: dict[int, dict[str, Any]] = {}
        self.alive = True
        self._rest = b""
        self._number = 0

    def start(self, asked: dict[str, Any]) -> Process | None:
        self._number += 1
        number = self._number
        self.answers[number] = {}
        try:
            self.stdin.write(json.dumps(asked | {"id": number}).encode() + b"\n")
            self.stdin.flush()
        except OSError:
            self.alive = False
        while "pid" not in self.answers[number] and self.alive:
            self.read(None)
        pid = self.answers[number].get("pid")
        return None if pid is None else _Forked(self, number, pid)

    def read(self, seconds: float | None) -> None:
        """Take in what the server has said, after waiting for it no longer than some seconds."""
        if not self.alive or not select.select([self.stdout], [], [], seconds)[0]:
            return
        got = self.stdout.read()
        if got == b"":
            self.alive = False
        *lines, self._rest = (self._rest + (got or b"")).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self.answers[answer.pop("id")] |= answer

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.stdin.close()
        kill_group(self.process.pid)
        self.process.wait()
        self.stdout.close()
        self.alive = False


class _Forked:
    """See `Process`."""

    def __init__(self, server: _Server, number: int, pid: int) -> None:
        self.pid = pid
        self._server, self._number = server, number

    def poll(self) -> int | None:
        self._server.read(0)
        return self._code()

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self._code()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left < 0:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self._server.read(left)
        return code

    def _code(self) -> int | None:
        code: int | None = self._server.answers[self._number].get("code")
        if code is None and not self._server.alive:
            return SERVER_ENDED
        return code


@atexit.register
def _close_all() -> None:
    for server in _servers.values():
        server.close()
    _servers.clear()
