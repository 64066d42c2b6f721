"""Running `plain` methods with one metric through an executor, in process."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from otbench.interface.parameters import kebab
from otbench.plugins.registry import Plugin
from otbench.report.live import Live
from otbench.results.job import Job
from otbench.run.executors.base import Executor, ExecutorOptions, Observer
from otbench.run.preflight import make_plan
from otbench.run.request import Plan, Request, Sweep
from otbench.run.runner import Options, Outcome, prepare, run

PLUGIN = Path(__file__).parent / "plain.py"
METHODS = (
    "Plain", "DrawsGlobally", "HangsOnce", "Hangs", "Dies", "KillsItsParent", "KillsItsGrandparent",
    "Skips",
)  # fmt: skip


def request(*methods: str, seeds: int = 1) -> Request:
    """Ask for one metric of some methods on `few`."""
    sweep = Sweep(list(methods), ["few"], list(range(seeds)), metrics={"reconstruction": ["mse"]})
    classes = [("methods", name) for name in METHODS] + [("datasets", "Few")]
    files = [
        asdict(Plugin(kind, kebab(name), name, "file", "", str(PLUGIN))) for kind, name in classes
    ]
    return Request([sweep], [], "smoke", device="cpu", files=files)


def outcome_of(
    executor: Executor, out: Path, *methods: str, seeds: int = 1, **options: Any
) -> Outcome:
    """Run to the end."""
    settings = Options(out, executor=executor, **options)
    return run(request(*methods, seeds=seeds), settings, Live(quiet=True))


def plan_of(*methods: str, seeds: int = 1) -> Plan:
    """Check a request and lay out its cells, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        return make_plan(request(*methods, seeds=seeds), Path(folder) / "importing")


def jobs_of(plan: Plan, out: Path) -> list[Job]:
    """Write the requests of a plan into a new results folder."""
    jobs, _ = prepare(plan, Options(out))
    for job in jobs:
        job.write()
    return jobs


def values(jobs: list[Job]) -> dict[str, Any]:
    """Return the rows of all records, by cell."""
    return {job.cell.key: (job.record() or {}).get("rows") for job in jobs}


def statuses(outcome: Outcome) -> dict[str, str]:
    """Return the status of each cell, by ``method-seed``."""
    return {
        f"{job.cell.method}-{job.cell.seed}": str((outcome.record(job) or {}).get("status"))
        for job in outcome.jobs
    }


class Watched:
    """An observer that keeps what it sees."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.records: dict[str, Any] = {}

    def __call__(self, job: Job, event: str, content: dict[str, Any]) -> None:
        self.events.append((job.cell.key, event))
        if event == "ended":
            self.records[job.cell.key] = content

    def check(self, jobs: list[Job]) -> None:
        """Assert that each job started once and ended once, in this order, with its record."""
        for job in jobs:
            own = [event for key, event in self.events if key == job.cell.key]
            counts = Counter(own)
            assert (counts["started"], counts["ended"]) == (1, 1), own
            assert (own[0], own[-1]) == ("started", "ended"), own
            assert self.records[job.cell.key] == job.record()
            assert not job.request.exists()


def execute(
    executor: Executor, todo: list[Job], out: Path, observe: Observer, **options: Any
) -> None:
    """Have an executor run jobs whose requests are written."""
    known: dict[str, Any] = {"jobs": 2, "timeout": None, "gpus": 0, "out": out}
    executor.run(todo, ExecutorOptions(**known | options), observe)
