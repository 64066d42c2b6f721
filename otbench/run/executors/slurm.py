"""Cells as jobs of SLURM, submitted by submitit."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otbench.errors import DataError, OTBenchError, UsageError
from otbench.extras import missing_from
from otbench.interface.parameters import parameter
from otbench.results.job import Job
from otbench.results.records import with_failure
from otbench.results.text import clean
from otbench.run.executors.base import ExecutorOptions
from otbench.run.executors.grouped import Group
from otbench.run.executors.remote import Batch, End, RemoteExecutor
from otbench.run.executors.slurm_states import (
    UNKNOWN,
    USUAL,
    State,
    cancel,
    end_of,
    largest_array,
    states_of,
)

if TYPE_CHECKING:
    import submitit

START_MINUTES = 5
"""Added to the time limits of a job's cells, for the start of Python on a slow file system."""

MOST_AT_ONCE = 256
STOP_SECONDS = 20.0
UNKNOWN_LOOKS = 3
"""Looks after which a job that SLURM does not know is over; a new one may not be known yet."""

DIRECT = ("partition", "account", "qos", "constraint", "exclude", "nodelist")
"""Parameters that are options of ``sbatch`` under the same name."""


@dataclass
class SlurmExecutor(RemoteExecutor):
    """Cells as arrays of SLURM jobs; the results folder must be visible on the nodes.

    A job that SLURM ends for a reason of its own (a node that died, preemption) starts again; cells
    that had ended are not run again. What a job logs is kept below the results folder.
    """

    cells_per_job: int = parameter(1, "cells that one job runs, one after another", low=1)
    partition: str | None = parameter(None, "of the cluster; none: its default")
    account: str | None = parameter(None, "to charge")
    qos: str | None = parameter(None, "quality of service")
    constraint: str | None = parameter(None, "features that a node must have")
    exclude: str | None = parameter(None, "nodes to avoid")
    nodelist: str | None = parameter(None, "nodes to use")
    time: int | None = parameter(
        None,
        "time limit of a job in minutes; none: --timeout for each of its cells, and "
        f"{START_MINUTES} minutes; without --timeout the partition's default",
        low=1,
    )
    memory: float | None = parameter(None, "GB of memory for a job; none: the default", above=0)
    gpus: int | None = parameter(
        None, "GPUs for a job; none: one where cells compute on CUDA", low=0
    )
    requeue: int = parameter(
        2, "how often a job is started again whose node died or was needed by others", low=0
    )
    setup: tuple[str, ...] = parameter((), "shell commands before the cells, such as module load")
    sbatch: tuple[str, ...] = parameter((), "other options of sbatch, such as nice=100")
    poll: float = parameter(10.0, "seconds between two looks at the queue", low=0.1)

    def conflicts(self) -> Iterator[str]:
        """Yield what is wrong with the other options of sbatch."""
        for option in self.sbatch:
            if not re.fullmatch(r"[a-z][a-z-]*(=.*)?", option):
                yield f"sbatch: write name=value without dashes before it, got {option!r}"

    @property
    def here(self) -> bool:
        """Whether cells run on this machine."""
        return False

    @property
    def batch_size(self) -> int:
        """Cells in a batch."""
        return self.cells_per_job

    @property
    def attempts(self) -> int:
        """How often a cell is tried whose batch ended for a reason that is not its own."""
        return 1 + self.requeue

    def check(self) -> None:
        """Look whether submitit is installed and this machine submits jobs.

        Raises
        ------
        DataError
            If submitit is not installed.
        UsageError
            If this machine has no ``sbatch``.
        """
        if hint := missing_from("slurm"):
            raise DataError(hint)
        absent = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
        if absent:
            raise UsageError(
                f"executor slurm: no {', '.join(absent)} on this machine; run the command where "
                "jobs are submitted, on a login node of the cluster"
            )

    @contextmanager
    def engine(self, jobs: list[Job], options: ExecutorOptions) -> Iterator[_Engine]:
        """Make a folder for what jobs log, and clear away at the end what only submitit needs."""
        name = f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:8]}"
        logs = options.out.resolve() / "slurm" / name
        logs.mkdir(parents=True)
        try:
            yield _Engine(self, jobs[0], options, logs, at_once=min(options.jobs, MOST_AT_ONCE))
        finally:
            for path in (*logs.glob("*.pkl"), *logs.glob(".submission_file_*")):
                path.unlink(missing_ok=True)

    def options_of_sbatch(self, like: Job, timeout: float | None, at_once: int) -> dict[str, Any]:
        """Return what submitit passes to ``sbatch``.

        Parameters
        ----------
        like : Job
            Any of the jobs: threads and device are those of the request, the same for all.
        timeout : float or None
            Seconds for each cell.
        at_once : int
            Jobs of an array that may run at once.
        """
        minutes = self.time
        if minutes is None and timeout is not None:
            minutes = math.ceil(self.cells_per_job * timeout / 60) + START_MINUTES
        gpus = self.gpus if self.gpus is not None else int(like.cell.device == "cuda")
        more: dict[str, Any] = {"requeue" if self.requeue else "no-requeue": True}
        for option in self.sbatch:
            name, equals, value = option.partition("=")
            more[name] = value if equals else True
        return {
            "job_name": "otbench",
            "time": minutes,
            "cpus_per_task": like.cell.threads,
            "mem": None if self.memory is None else f"{math.ceil(1024 * self.memory)}MB",
            "gpus_per_node": gpus or None,
            "array_parallelism": at_once,
            "setup": list(self.setup) or None,
            # A step has as many cores as its job only if it is told so, since SLURM 22.05.
            "srun_args": [f"--cpus-per-task={like.cell.threads}"],
            "additional_parameters": more,
            **{name: getattr(self, name) for name in DIRECT},
        }


def run_cells(requests: list[str], threads: int, timeout: float | None, requeue: int) -> None:
    """Run cells one after another; called by submitit on a node.

    Raises
    ------
    RuntimeError
        If the process that runs them ended before they did.
    """
    # SLURM sends it before the time limit, and submitit would stop here; a cell that ends in time
    # is one more.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if restarts > requeue:
        _give_up(requests, restarts)
    group = Group(threads)
    try:
        group.ask(map(Path, requests), timeout)
        left = len(requests)
        while left and group.alive:
            for answer in group.answers(60):
                left -= 1
                sys.stdout.write(f"{answer['status']} {Path(answer['request']).parent}\n")
                sys.stdout.flush()
    finally:
        code = group.close()
    if left:
        raise RuntimeError(f"the process that runs cells ended with code {code}; {left} are left")


def _give_up(requests: list[str], restarts: int) -> None:
    """Record the cell as failed that was at work each time when this job came to a bad end."""
    for request in map(Path, requests):
        if request.exists() and (request.parent / "progress.json").exists():
            job = Job.read(request)
            reason = f"its SLURM job was started {restarts + 1} times and never came to its end"
            with_failure(job, job.record(), "failed", reason)
            request.unlink()


@dataclass
class _Engine:
    executor: SlurmExecutor
    like: Job
    options: ExecutorOptions
    logs: Path
    at_once: int
    poll_seconds: float = 1.0
    looked: float = -math.inf
    unknown: dict[str, int] = field(default_factory=dict)
    found: dict[str, End] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def submit(self, batches: Sequence[list[Job]]) -> list[Batch]:
        """Submit arrays of jobs, as few as SLURM allows."""
        size, made = largest_array(), list[Batch]()
        for start in range(0, len(batches), size):
            try:
                made += self._array(batches[start : start + size])
            except OTBenchError:
                self.cancel(made)
                raise
        return made

    def _array(self, batches: Sequence[list[Job]]) -> list[Batch]:
        from submitit import SlurmExecutor as Submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        # As all of the suite's processes: what lies in the working directory is not imported.
        python = f"{shlex.quote(sys.executable)} -P"
        submitter = Submitit(self.logs, max_num_timeout=0, python=python)
        settings = self.executor.options_of_sbatch(self.like, self.options.timeout, self.at_once)
        submitter.update_parameters(**settings)
        arguments = (self.like.cell.threads, self.options.timeout, self.executor.requeue)
        requests = [[str(job.request.resolve()) for job in jobs] for jobs in batches]
        try:
            jobs: list[submitit.Job[None]] = submitter.map_array(
                run_cells, requests, *([one] * len(requests) for one in arguments)
            )
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise UsageError(f"SLURM takes no job: {clean(str(error))}") from error
        name = jobs[0].job_id.partition("_")[0]
        array = f", an array of {len(jobs)}," if len(jobs) > 1 else ""
        cells = sum(map(len, batches))
        self.options.say(
            f"SLURM: job {name}{array} for {cells} cell{'s' if cells > 1 else ''}; "
            f"logs in {self.options.out / self.logs.relative_to(self.options.out.resolve())}"
        )
        return [Batch(job.job_id, list(own)) for job, own in zip(jobs, batches, strict=True)]

    def ended(self, batches: Sequence[Batch]) -> dict[str, End]:
        """Return the jobs that are over, looking at the queue now and then."""
        if time.monotonic() - self.looked < self.executor.poll:
            return self.found
        states = states_of([batch.id for batch in batches])
        self.looked = time.monotonic()
        for name, state in (states or {}).items():
            self._tell(state)
            self.unknown[name] = self.unknown.get(name, 0) + 1 if state.name == UNKNOWN else 0
            if state.over and (state.name != UNKNOWN or self.unknown[name] >= UNKNOWN_LOOKS):
                self.found[name] = end_of(name, state, f"{self.logs}/{name}_0_log.err")
        return self.found

    def _tell(self, state: State) -> None:
        """Say once why jobs wait, where that may take for ever."""
        if state.name == "PENDING" and state.reason not in (*USUAL, *self.told):
            self.told.add(state.reason)
            self.options.say(f"SLURM: jobs wait: {state.reason}")

    def cancel(self, batches: Sequence[Batch]) -> None:
        """Cancel all jobs and wait until they have ended."""
        names = [batch.id for batch in batches]
        if not names:
            return
        cancel(sorted({name.partition("_")[0] for name in names}))
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            states = states_of(names)
            if states is None or not any(
                state.name in ("RUNNING", "COMPLETING") for state in states.values()
            ):
                return
            time.sleep(self.poll_seconds)
