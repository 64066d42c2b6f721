"""What SLURM says of jobs: by ``squeue`` while the controller knows them, else by ``sacct``."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from otbench.run.executors.remote import End

COMMAND_SECONDS = 30
QUEUE = ("squeue", "--noheader", "--states=all", "--array", "--format=%i|%T|%r")
ACCOUNTING = (
    "sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,Reason",
)  # fmt: skip
GOING_ON = (
    "COMPLETING",
    "CONFIGURING",
    "PENDING",
    "PREEMPTED",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESIZING",
    "RUNNING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
)
"""States of jobs that may still run something."""

USUAL = ("None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime", "Cleaning")
"""Reasons for which any job waits; others a user wants to know of."""

UNKNOWN = "UNKNOWN"
DEFAULT_ARRAY = 1000
"""Jobs in an array where SLURM does not say how many it allows; its own default is one more."""


@dataclass(frozen=True)
class State:
    """The state of a job.

    Attributes
    ----------
    name : str
        Such as ``RUNNING`` or ``TIMEOUT``.
    reason : str
        SLURM's word for why it waits or ended; may be empty.
    """

    name: str
    reason: str = ""

    @property
    def over(self) -> bool:
        """Whether it will run nothing more."""
        return self.name not in GOING_ON


def states_of(jobs: Collection[str]) -> dict[str, State] | None:
    """Return the states of jobs such as ``17`` or ``17_3``.

    Those that SLURM does not know, or not any more, have the state `UNKNOWN`. None where the
    controller does not answer, which says nothing of the jobs.
    """
    found: dict[str, State] = {}
    for main in sorted({job.partition("_")[0] for job in jobs}):
        code, out, error = _ask(*QUEUE, f"--jobs={main}")
        if code != 0 and "Invalid job id" not in error:
            return None
        found |= _parsed(out)
    missing = [job for job in jobs if job not in found]
    if missing:
        mains = ",".join(sorted({job.partition("_")[0] for job in missing}))
        code, out, _ = _ask(*ACCOUNTING, f"--jobs={mains}")
        # Without accounting it fails.
        found |= _parsed(out) if code == 0 else {}
    return {job: found.get(job, State(UNKNOWN)) for job in jobs}


def _parsed(text: str) -> dict[str, State]:
    """Read lines of ``ID|STATE|REASON``; ``CANCELLED by 1000`` is ``CANCELLED``."""
    lines = (line.strip().split("|") for line in text.splitlines() if line.count("|") == 2)
    return {job: State(state.partition(" ")[0], reason) for job, state, reason in lines}


def end_of(job: str, state: State, log: str) -> End:
    """Say what the end of a SLURM job means for cells that it has not brought to an end.

    Parameters
    ----------
    job : str
        Its id.
    state : State
        Over.
    log : str
        Where its output lies.
    """
    more = f" ({state.reason})" if state.reason not in ("", *USUAL) else ""
    if state.name in ("TIMEOUT", "DEADLINE"):
        reason = f"SLURM job {job} reached its time limit"
        return End("timeout", reason, blames=True, unless_late=True)
    if state.name == "OUT_OF_MEMORY":
        return End("oom", f"SLURM job {job} ran out of memory", blames=True)
    if state.name == "CANCELLED":
        return End("interrupted", f"SLURM job {job} was cancelled{more}", final=True)
    if state.name == UNKNOWN:
        return End(
            "failed", f"SLURM job {job} is not known any more, and no record came; see {log}"
        )
    return End("failed", f"SLURM job {job} ended as {state.name}{more}; see {log}")


def largest_array() -> int:
    """Return how many jobs an array may have."""
    _, out, _ = _ask("scontrol", "show", "config")
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", out, flags=re.MULTILINE)
    return max(1, int(match[1])) if match else DEFAULT_ARRAY


def cancel(jobs: Iterable[str]) -> None:
    """Ask SLURM to end jobs; each by its id, or a whole array at once."""
    _ask("scancel", *jobs)


def _ask(*command: str) -> tuple[int, str, str]:
    """Run a command of SLURM; return exit code, output and errors."""
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    return answer.returncode, answer.stdout, answer.stderr
