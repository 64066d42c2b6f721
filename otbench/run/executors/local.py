"""Cells on this machine: a few slots, one process a cell, a hard timeout."""

from __future__ import annotations

import os
from dataclasses import dataclass

from otbench.results.job import Job
from otbench.run.executors.base import Executor, ExecutorOptions, Observer
from otbench.run.executors.process import (
    POLL_SECONDS,
    CellProcess,
    fresh,
    progress_of,
    wait_for_any,
)


@dataclass
class LocalExecutor(Executor):
    """A pool of slots; the longest jobs start first, so that no long one is left for the end."""

    def run(self, jobs: list[Job], options: ExecutorOptions, observe: Observer) -> None:
        """Run all jobs."""
        waiting = sorted(jobs, key=lambda job: -job.cost)
        running: dict[int, CellProcess] = {}
        try:
            while waiting or running:
                for slot in range(options.jobs):
                    if waiting and slot not in running:
                        launch = fresh(_visible_device(slot, options.gpus))
                        running[slot] = CellProcess.start(waiting.pop(0), launch)
                        observe(running[slot].job, "started", {})
                wait_for_any((entry.process for entry in running.values()), POLL_SECONDS)
                for slot, entry in list(running.items()):
                    record = entry.end(options.timeout)
                    if record is None:
                        observe(entry.job, "progress", progress_of(entry.job))
                        continue
                    del running[slot]
                    observe(entry.job, "ended", record)
        except BaseException:
            for entry in running.values():
                entry.kill()
                observe(entry.job, "ended", entry.fail("interrupted", "the run was stopped"))
            raise


def _visible_device(slot: int, gpus: int) -> str | None:
    """Return the CUDA device of a slot; None on a CPU."""
    if not gpus:
        return None
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    index = slot % gpus
    return listed.split(",")[index] if listed else str(index)
