"""SLURM played by this machine: submitit starts the jobs as local processes."""

from __future__ import annotations

from typing import Any, ClassVar

import psutil
import pytest
import submitit

from otbench.run.executors import slurm
from otbench.run.executors.slurm_states import State


class Here(submitit.LocalExecutor):
    """Takes what `submitit.SlurmExecutor` does, and runs jobs on this machine."""

    made: ClassVar[list[Any]] = []

    def update_parameters(self, **asked: Any) -> None:
        super().update_parameters(timeout_min=5)

    def map_array(self, *arguments: Any) -> list[Any]:
        found = super().map_array(*arguments)
        self.made.extend(found)
        return found


def states_here(jobs: list[str]) -> dict[str, State]:
    return {job: State("RUNNING" if _runs(int(job)) else "COMPLETED") for job in jobs}


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the executor `slurm` run its jobs on this machine."""
    Here.made.clear()
    monkeypatch.setattr(submitit, "SlurmExecutor", Here)
    monkeypatch.setattr(slurm, "states_of", states_here)
    monkeypatch.setattr(slurm.SlurmExecutor, "check", lambda executor: None)
