"""Importing and constructing the methods of a request, and rejecting those that fail."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otbench.errors import OTBenchError, describe
from otbench.interface.method import Method, MethodCard
from otbench.interface.parameters import declared
from otbench.plugins.child import PARENT, die_with_parent, how_it_ended
from otbench.plugins.parameters import instantiate, resolve
from otbench.plugins.registry import Plugin, Registry
from otbench.plugins.selection import Spec, choose, parse
from otbench.run.request import Plan, Request
from otbench.run.trail import ASK, IMPORT, LIMITS, MAKE, Stage, Trail
from otbench.scoring.score import STRANGERS


@dataclass(frozen=True)
class Candidate:
    """A method that was constructed.

    Attributes
    ----------
    spec : Spec
    plugin : Plugin
    method : Method
    given : frozenset of str
        Names of the parameters that were given.
    named : bool
        Whether it was asked for by its own name.
    """

    spec: Spec
    plugin: Plugin
    method: Method
    given: frozenset[str]
    named: bool


class Unfit(Exception):
    """A method cannot run. The first argument is the status, the second the reason."""


def candidates(
    request: Request, number: int, registry: Registry, plan: Plan, trail: Trail
) -> Iterator[Candidate]:
    """Import and construct the methods of a sweep; each failure becomes a rejection of the plan.

    Raises
    ------
    UsageError
        If a parameter is wrong.
    """
    sweep = request.sweeps[number]
    for spec, named in choose(sweep.methods, registry.names(), "method").items():
        plugin = registry.get(spec.name)
        try:
            method, given = _made(request, plugin, spec, trail)
        except Unfit as misfit:
            plan.rejected += [
                rejection(request, number, spec.label, dataset.label, *misfit.args)
                for dataset in parse(sweep.datasets)
            ]
        else:
            yield Candidate(spec, plugin, method, given, named)


def rejection(
    request: Request, number: int, method: str, dataset: str, status: str, reason: str
) -> dict[str, Any]:
    """Return the row of a method that cannot run; see `Plan.rejected`."""
    known = {"method": method, "dataset": dataset, "preset": request.preset, "sweep": number}
    return known | {"status": status, "reason": reason}


def _made(
    request: Request, plugin: Plugin, spec: Spec, trail: Trail
) -> tuple[Method, frozenset[str]]:
    if reason := request.avoided("method", spec.name, IMPORT):
        raise Unfit("not_installed", reason)
    if reason := request.avoided("method", spec.label, MAKE, ASK):
        raise Unfit("failed", reason)
    done = str(Stage(MAKE, "method", spec.label)) in request.passed
    careful = request.careful and not done and _can_be_copied()

    def tried(work: Callable[[], Any], doing: str, name: str, status: str) -> Any:
        if careful and (end := _end_of_a_copy(work, request.check_seconds)):
            trail.left_out(doing, "method", name, f"{doing} {end}")
            raise Unfit(status, f"{doing} {end}")
        return work()

    with trail.stage(IMPORT, "method", spec.name), unfit("not_installed"):
        cls = tried(lambda: _imported(plugin), IMPORT, spec.name, "not_installed")
    with trail.stage(MAKE, "method", spec.label), unfit("failed", f"{MAKE}: "):
        method = tried(lambda: instantiate(cls, spec), MAKE, spec.label, "failed")
        return method, frozenset(resolve(cls, spec))


@contextmanager
def unfit(status: str, before: str = "") -> Iterator[None]:
    """Turn exceptions of a plugin into `Unfit`; errors of the suite pass through."""
    try:
        yield
    except (OTBenchError, Unfit):
        raise
    except STRANGERS as error:
        raise Unfit(status, before + describe(error)) from error


def _imported(plugin: Plugin) -> Any:
    cls = plugin.load()
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise TypeError(f"{plugin.value} is not a subclass of otbench.interface.Method")
    declared(cls)
    if not isinstance(getattr(cls, "card", None), MethodCard):
        raise TypeError(f"{plugin.value} has no card = MethodCard(...)")
    return cls


def _can_be_copied() -> bool:
    """Return whether this process has one thread: a copy could wait for a lock of another one."""
    threads = Path("/proc/self/task")
    return sys.platform.startswith("linux") and len(list(threads.iterdir())) == 1


def _end_of_a_copy(work: Callable[[], object], limit: float | None) -> str | None:
    """Run a function in a copy of this process.

    Exceptions are ignored: the function runs again in this process, where they are reported.

    Returns
    -------
    str or None
        How the copy ended too early or exceeded the time limit; None if it did neither.
    """
    # A little less than the time that the command waits for this process.
    seconds = 0.9 * (limit or LIMITS[IMPORT])
    parent, (survived, done) = os.getpid(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.environ[PARENT] = str(parent)
        die_with_parent()
        with suppress(BaseException):
            work()
        os.write(done, b"1")
        os._exit(0)
    os.close(done)
    answered = bool(select.select([survived], [], [], seconds)[0])
    # Empty if the copy ended before it could write.
    well = answered and os.read(survived, 1) != b""
    os.close(survived)
    if not answered:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not answered:
        return f"did not end within {seconds:g} s"
    return None if well else how_it_ended(os.waitstatus_to_exitcode(status))
