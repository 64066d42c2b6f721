"""The command's side of the checks before a run: start them, watch them, find the culprit."""

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
"""Seconds in one stage after which the user is told which one it is."""

ERRORS: dict[int, type[OTBenchError]] = {2: UsageError, 3: DataError}

Say = Callable[[str], None]


def preflight(request: Request, say: Say = lambda text: None) -> Plan:
    """Plan a request in another process.

    If the code of a method, task or metric ends that process or exceeds its time limit, the checks
    start again without it. After the first such failure each method is tried in a copy of the
    process first, so that several bad methods need only one more start.

    Parameters
    ----------
    request : Request
        Its attribute ``avoid`` is extended by what was left out.
    say : callable
        Called with a message for the user if a stage takes long.

    Raises
    ------
    DataError
        If a data set ends the process or exceeds its time limit.
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
    """Run the checks once; return the plan or None, the log, and how the process ended."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / REQUEST).write_text(json.dumps(asdict(request)))
        # Only a process with a single thread can be copied safely. It shares our standard error, so
        # that progress bars of downloads are visible.
        with started("otbench.run.preflight", name, env=computing(1)) as process:
            how = _watch(process, folder, request.check_seconds, say)
        plan = folder / PLAN
        content = json.loads(plan.read_text(encoding="utf-8")) if plan.exists() else None
        return Plan(**content) if content else None, standing(folder / TRAIL), how


def _watch(process: Process, folder: Path, limit: float | None, say: Say) -> str:
    """Wait for the plan or the end of the process; return how it ended."""
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
            say(f"{found.stage} takes long; the limit is {allowed:g} s")
            said = True
    return "ended"
