"""The runner: plans a request in a separate process, and runs the cells that are missing."""

from __future__ import annotations

import os
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otbench.errors import UsageError
from otbench.plugins.registry import Plugin, Registry
from otbench.plugins.selection import choose, parse
from otbench.presets import Sizes, get_preset
from otbench.results.asked import remember
from otbench.results.cell import Cell, slug
from otbench.results.job import Job
from otbench.results.records import is_finished, outcome_of
from otbench.run.checks import preflight
from otbench.run.executors.base import Executor, ExecutorOptions
from otbench.run.executors.local import LocalExecutor
from otbench.run.provenance import provenance
from otbench.run.request import Plan, Request

if TYPE_CHECKING:
    from otbench.report.live import Live

STRATEGIES = ("only-missing", "only-failed", "always", "never")
TRIED_AGAIN = ("failed", "timeout", "oom", "interrupted")
"""Statuses of records that ``only-failed`` runs again."""

WORKER_MEMORY_GB = 2.0
"""Memory that one cell may need, in GiB; it limits how many run at once."""


@dataclass
class Options:
    """Options for the execution of a request.

    Attributes
    ----------
    out : Path
        Results folder.
    executor : Executor
        Runs the cells.
    jobs : int or None
        Number of cells that run at once; None for as many as cores and memory allow.
    timeout : float or None
        Wall-clock seconds after which a cell is killed.
    strategy : str
        ``only-missing``: reuse finished cells and run all others. ``only-failed``: run only cells
        that failed, were killed or were interrupted. ``always``: run all cells again. ``never``:
        keep any record, even of a failure.
    rescore : bool
        Whether to score finished models again, without training.
    max_memory : int or None
        Bytes of memory above which a cell is killed; its status is then ``oom``.
    """

    out: Path
    executor: Executor = field(default_factory=LocalExecutor)
    jobs: int | None = None
    timeout: float | None = None
    strategy: str = "only-missing"
    rescore: bool = False
    max_memory: int | None = None


@dataclass
class Outcome:
    """The outcome of a run.

    Attributes
    ----------
    jobs : list of Job
        All cells of the request.
    asked : dict of int to list of Job
        The cells of each sweep of the request.
    reused : int
        Number of cells that already had a record and were not run.
    rejected : list of dict
        Methods that could not run, with status and reason.
    found : dict of str to dict
        The records, by key of the cell.
    """

    jobs: list[Job]
    asked: dict[int, list[Job]]
    reused: int
    rejected: list[dict[str, Any]] = field(default_factory=list)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def record(self, job: Job) -> dict[str, Any] | None:
        """Return the record of a cell, or None."""
        return self.found.get(job.cell.key)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of all cells that have one."""
        return [record for job in self.jobs if (record := self.record(job))]

    @property
    def exit_code(self) -> int:
        """0 if all cells are ok or skipped, 1 if some failed or collapsed, 3 if nothing ran."""
        statuses = [outcome_of(job, record)[0] for job in self.jobs if (record := self.record(job))]
        statuses += [rejection["status"] for rejection in self.rejected]
        if not statuses or all(status in ("not_installed", "skipped") for status in statuses):
            return 3
        return 0 if all(status in ("ok", "skipped") for status in statuses) else 1


def check_names(request: Request) -> None:
    """Check all names before heavy libraries are imported.

    Raises
    ------
    UsageError
        If a method, dataset, metric or preset is unknown.
    """
    get_preset(request.preset)
    files = [Plugin(**content) for content in request.files]
    for kind in ("datasets", "metrics"):
        registry = Registry(kind, files)
        for spec in parse(request.selected(kind)):
            registry.get(spec.name)
    if not choose(request.selected("methods"), Registry("methods", files).names(), "method"):
        raise UsageError("no method is selected; --methods all selects every one")


def prepare(plan: Plan, options: Options) -> tuple[list[Job], dict[int, list[Job]]]:
    """Create the job of every cell; return all jobs, and the jobs of each sweep."""
    jobs: dict[str, Job] = {}
    asked: dict[int, dict[str, Job]] = {}
    for entry in plan.cells:
        cell = Cell.from_json(entry["cell"])
        # Two selections may have the same parameters.
        jobs[cell.key] = Job(
            cell=cell,
            folder=options.out / "cells" / slug(cell.dataset) / cell.folder_name,
            metrics=plan.metrics[cell.dataset],
            digests=plan.digests,
            unavailable=plan.unavailable,
            sizes=Sizes(**plan.sizes),
            reference=entry["reference"],
            cost=entry["cost"] * cell.steps,
            provenance=provenance(),
            attempt=uuid.uuid4().hex,
            fresh=options.strategy == "always",
            rescore=options.rescore,
            max_memory=options.max_memory,
        )
        asked.setdefault(entry["sweep"], {})[cell.key] = jobs[cell.key]
    return list(jobs.values()), {number: list(own.values()) for number, own in asked.items()}


def slots(cells: int, gpus: int, options: Options) -> int:
    """Return the number of cells that run at once."""
    if options.jobs:
        return options.jobs
    if not options.executor.here:
        return max(1, cells)
    if gpus:
        return gpus
    import psutil

    each = options.max_memory or WORKER_MEMORY_GB * 2**30
    by_memory = int(psutil.virtual_memory().available / each)
    return max(1, min(cells, os.cpu_count() or 1, by_memory))


def _check_writable(out: Path) -> None:
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write results to {out}: {error.strerror}; name another folder with --out"
        ) from error


def run(request: Request, options: Options, live: Live) -> Outcome:
    """Run a request.

    Raises
    ------
    OTBenchError
        If the request cannot run; nothing was started.
    KeyboardInterrupt
        If the user interrupts it; finished cells are kept.
    """
    check_names(request)
    _check_writable(options.out)
    options.executor.check()
    live.say("checking methods, data and metrics")
    plan = preflight(request, live.say)
    for text in plan.warnings:
        live.warn(text)
    jobs, asked = prepare(plan, options)
    found = {job.cell.key: record for job in jobs if (record := job.record())}
    todo = [job for job in jobs if _is_due(job, found.get(job.cell.key), options)]
    at_once = slots(len(todo), plan.gpus, options)
    remember(options.out, (job.cell for job in jobs))
    for job in todo:
        job.write()
    outcome = Outcome(jobs, asked, len(jobs) - len(todo), plan.rejected, found)
    for job in todo:
        found.pop(job.cell.key, None)

    def observe(job: Job, event: str, content: dict[str, Any]) -> None:
        if event == "ended" and content:
            found[job.cell.key] = content
        live.observe(job, event, content)

    settings = ExecutorOptions(at_once, options.timeout, plan.gpus, options.out, live.say)
    with live.watching(todo, outcome.reused, at_once):
        options.executor.run(todo, settings, observe)
    return outcome


def _is_due(job: Job, record: dict[str, Any] | None, options: Options) -> bool:
    if options.strategy == "only-failed":
        return record is not None and record["status"] in TRIED_AGAIN
    if record is None or options.strategy == "always" or options.rescore:
        return True
    return options.strategy == "only-missing" and not is_finished(job, record)
