"""The checks before a run as the command sees them: start, watch, find who is to blame."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from otbench.errors import DataError, OTBenchError, UsageError
from otbench.extras import missing_from
from otbench.plugins.child import computing, how_it_ended
from otbench.plugins.forking import Process, started
from otbench.run.request import PLAN, REQUEST, TRAIL, Plan, Request
from otbench.run.trail import Standing, stamp, standing

POLL_SECONDS = 0.05
SAID_AFTER = 15.0
"""Seconds of one stage after which the user is told what takes so long."""

ERRORS: dict[int, type[OTBenchError]] = {2: UsageError, 3: DataError}

Say = Callable[[str], None]


def preflight(request: Request, say: Say = lambda text: None) -> Plan:
    """Plan a request in another process.

    A method, task or metric whose code ends that process, or does not end, is left out, and the
    checks start anew. From then on methods are tried in copies of the process, so that each of
    several such methods costs no further start.

    Parameters
    ----------
    request : Request
        Gets in ``avoid`` what is left out.
    say : callable
        Called with a line for the user where something takes long.

    Raises
    ------
    DataError
        If a data set cannot be loaded.
    OTBenchError
        If the request cannot run.
    """
    if hint := missing_from("train"):
        raise DataError(hint)
    while True:
        plan, found, how = _attempt(request, say)
        if plan is not None:
            break
        if found.stage is None or str(found.stage) in request.avoid:
            after = f", after {found.passed[-1]}," if found.passed else ""
            raise OTBenchError(f"the suite's own checks before the run{after} {how}; see above")
        if found.stage.kind == "data set":
            raise DataError(f"{found.stage} {how}")
        request.avoid |= {str(stage): reason for stage, reason in found.left_out.items()}
        request.avoid[str(found.stage)] = f"{found.stage.doing} {how}"
        request.passed = sorted({str(stage) for stage in found.passed})
        request.careful = True
    if plan.error is not None:
        raise ERRORS.get(plan.error["exit_code"], OTBenchError)(plan.error["message"])
    return plan


def _attempt(request: Request, say: Say) -> tuple[Plan | None, Standing, str]:
    """Run the checks once; return the plan, or None with where they stood and how they ended."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / REQUEST).write_text(json.dumps(asdict(request)))
        # A process with one thread may be copied. Its standard error is ours, so that downloads
        # show their bars.
        with started("otbench.run.preflight", name, env=computing(1)) as process:
            how = _watch(process, folder, request.check_seconds, say)
        plan = folder / PLAN
        content = json.loads(plan.read_text(encoding="utf-8")) if plan.exists() else None
        return Plan(**content) if content else None, standing(folder / TRAIL), how


def _watch(process: Process, folder: Path, limit: float | None, say: Say) -> str:
    """Wait for the plan or an end; return how it ended."""
    seen, since, said = stamp(folder / TRAIL), time.monotonic(), False
    while not (folder / PLAN).exists():
        try:
            return how_it_ended(process.wait(POLL_SECONDS))
        except subprocess.TimeoutExpired:
            pass
        if (now := stamp(folder / TRAIL)) != seen:
            seen, since, said = now, time.monotonic(), False
            continue
        idle = time.monotonic() - since
        if idle < min(SAID_AFTER, limit or SAID_AFTER):
            continue
        found = standing(folder / TRAIL)
        allowed = limit if limit and found.stage else found.limit
        if idle >= allowed:
            return f"did not end within {allowed:g} s"
        if found.stage is not None and not said:
            say(f"{found.stage} takes long; given up after {allowed:g} s")
            said = True
    return "ended"
