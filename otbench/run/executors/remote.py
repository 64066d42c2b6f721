"""What executors have in common that hand cells to another system and wait for their records."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from otbench.results.job import Job
from otbench.results.record import Record
from otbench.results.records import answers, with_failure
from otbench.run.executors.base import Executor, ExecutorOptions, Observer
from otbench.run.executors.process import progress_of

SETTLE_SECONDS = 5.0
"""How long a shared file system may take to show what another machine wrote."""


@dataclass
class Batch:
    """Cells that were handed over together, to be run one after another.

    Attributes
    ----------
    id : str
        The other system's name for it.
    left : list of Job
        Those that have not ended, in the order in which they run.
    began : bool
        Whether the cell that comes first in ``left`` has been seen at work.
    ended : int
        How many have ended.
    """

    id: str
    left: list[Job]
    began: bool = False
    ended: int = 0


@dataclass(frozen=True)
class End:
    """Why a batch is over although cells are left in it.

    Attributes
    ----------
    status : str
        For the record of a cell that is not tried again.
    reason : str
    blames : bool
        Whether the cell that was at work is at fault, so that it is not tried again.
    unless_late : bool
        Whether it is at fault only if it had the batch's whole time, as the first one has.
    final : bool
        Whether nothing of it is tried again.
    """

    status: str
    reason: str
    blames: bool = False
    unless_late: bool = False
    final: bool = False


NOT_OVER: tuple[float, End | None] = (0.0, None)


class Engine(Protocol):
    """A system that runs batches of cells.

    Attributes
    ----------
    at_once : int
        Batches that may be at work at once; they are taken to begin in order.
    poll_seconds : float
        Seconds between two looks at the cells.
    """

    at_once: int
    poll_seconds: float

    def submit(self, batches: Sequence[list[Job]]) -> list[Batch]:
        """Hand some batches over."""

    def ended(self, batches: Sequence[Batch]) -> dict[str, End]:
        """Return, by id, those that are over; called often, and only those may be left out."""

    def cancel(self, batches: Sequence[Batch]) -> None:
        """Stop all of them, and wait until they have stopped."""


@dataclass
class RemoteExecutor(Executor):
    """Hands cells over in batches, reads their records, and tries again what was no cell's fault.

    A cell has ended when its request is gone: whoever ran it removes that file last.
    """

    @abstractmethod
    def engine(self, jobs: list[Job], options: ExecutorOptions) -> AbstractContextManager[Engine]:
        """Connect to the system; what the context leaves behind are logs."""

    @property
    def batch_size(self) -> int:
        """Cells in a batch."""
        return 1

    @property
    def attempts(self) -> int:
        """How often a cell is tried whose batch ended for a reason that is not its own."""
        return 1

    def run(self, jobs: list[Job], options: ExecutorOptions, observe: Observer) -> None:
        """Run all jobs."""
        if not jobs:
            return
        for job in jobs:
            (job.folder / "progress.json").unlink(missing_ok=True)
        # The longest first, so that no long one is left for the end.
        ordered = sorted(jobs, key=lambda job: -job.cost)
        try:
            with self.engine(jobs, options) as engine:
                _Run(engine, self.batch_size, self.attempts, observe).all(ordered)
        finally:
            for job in jobs:
                job.request.unlink(missing_ok=True)


@dataclass
class _Run:
    engine: Engine
    batch_size: int
    attempts: int
    observe: Observer
    active: list[Batch] = field(default_factory=list)
    started: set[Path] = field(default_factory=set)
    tries: Counter[Path] = field(default_factory=Counter)
    over: dict[str, tuple[float, End | None]] = field(default_factory=dict)

    def all(self, jobs: list[Job]) -> None:
        try:
            self._submit(jobs)
            while self.active:
                time.sleep(self.engine.poll_seconds)
                self._look()
        except BaseException:
            self._stop()
            raise

    def _submit(self, jobs: list[Job]) -> None:
        # Dealt out like cards, so that no batch gets all the long ones.
        number = math.ceil(len(jobs) / self.batch_size)
        self.active += self.engine.submit([jobs[start::number] for start in range(number)])

    def _look(self) -> None:
        """Take in what has ended, and hand over again what has to be."""
        now, again = time.monotonic(), list[Job]()
        for name, why in self.engine.ended(self.active).items():
            self.over.setdefault(name, (now, why))
        for number, batch in enumerate(list(self.active)):
            since, end = self.over.get(batch.id, NOT_OVER)
            if end is None and number >= self.engine.at_once:
                # Most likely it waits; a look at each file costs a round trip on a shared system.
                continue
            self._collect(batch)
            if batch.left and (end is None or now - since < SETTLE_SECONDS):
                continue
            self.active.remove(batch)
            if end is not None:
                again += self._left_over(batch, end)
        if again:
            self._submit(again)

    def _collect(self, batch: Batch) -> None:
        while batch.left:
            job = batch.left[0]
            if job.request.exists():
                if progress := progress_of(job):
                    batch.began = True
                    self._start(job)
                    self.observe(job, "progress", progress)
                return
            record = job.record()
            if record is None or not answers(job, record):
                reason = "the process ended without a record of its own; see cell.log"
                record = with_failure(job, record, "failed", reason)
            self._end(job, record)
            batch.left.pop(0)
            batch.ended += 1
            batch.began = False

    def _left_over(self, batch: Batch, end: End) -> Iterator[Job]:
        """Yield what is tried again of a batch that is over; the rest gets its record."""
        late = end.unless_late and batch.ended > 0
        at_fault = batch.began and end.blames and not late
        for number, job in enumerate(batch.left):
            at_work = number == 0 and batch.began
            # A cell that had not begun, in a batch that came on, has not had its turn.
            had_its_turn = at_work and not late
            self.tries[job.folder] += had_its_turn or not (batch.ended or at_fault)
            exhausted = self.tries[job.folder] >= self.attempts
            if end.final or (at_work and at_fault) or exhausted:
                self._end(job, with_failure(job, job.record(), end.status, end.reason))
                job.request.unlink(missing_ok=True)
                continue
            (job.folder / "progress.json").unlink(missing_ok=True)
            yield job

    def _stop(self) -> None:
        """Stop everything; what was at work is recorded as interrupted, the rest left as it was."""
        self.engine.cancel(self.active)
        for batch in self.active:
            self._collect(batch)
            for number, job in enumerate(batch.left):
                if number == 0 and batch.began:
                    reason = "the run was stopped"
                    self._end(job, with_failure(job, job.record(), "interrupted", reason))

    def _start(self, job: Job) -> None:
        if job.folder not in self.started:
            self.started.add(job.folder)
            self.observe(job, "started", {})

    def _end(self, job: Job, record: Record) -> None:
        self._start(job)
        self.observe(job, "ended", record)
