"""The contract of executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otbench.results.job import Job

Observer = Callable[[Job, str, dict[str, Any]], None]
"""Function of a job, an event (``started``, ``progress`` or ``ended``) and the event's content.

The content of ``ended`` is the record of the job.
"""


@dataclass(frozen=True)
class ExecutorOptions:
    """Options of an executor.

    Attributes
    ----------
    jobs : int
        Number of cells that run at once.
    timeout : float or None
        Wall-clock seconds after which a cell is killed.
    gpus : int
        Number of CUDA devices among which cells are distributed; 0 on a CPU.
    """

    jobs: int
    timeout: float | None
    gpus: int


class Executor(ABC):
    """Runs ``python -m otbench.run.worker REQUEST`` for each job, which writes a record."""

    @abstractmethod
    def run(self, jobs: list[Job], options: ExecutorOptions, observe: Observer) -> None:
        """Run all jobs; on return, each has a record, even if its process failed.

        Raises
        ------
        KeyboardInterrupt
            After the running cells were stopped and recorded as ``interrupted``.
        """
