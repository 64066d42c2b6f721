"""The contract of executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otbench.results.job import Job

Observer = Callable[[Job, str, dict[str, Any]], None]
"""Called with a job, an event (``started``, ``progress`` or ``ended``) and its content.

That of ``ended`` is the job's record.
"""


@dataclass(frozen=True)
class ExecutorOptions:
    """How to run cells.

    Attributes
    ----------
    jobs : int
        Cells at once.
    timeout : float or None
        Seconds, wall-clock, after which a cell is killed.
    gpus : int
        CUDA devices to spread cells over; 0 on a CPU.
    """

    jobs: int
    timeout: float | None
    gpus: int


class Executor(ABC):
    """Runs ``python -m otbench.run.worker FOLDER`` for each job, which writes a record."""

    @abstractmethod
    def run(self, jobs: list[Job], options: ExecutorOptions, observe: Observer) -> None:
        """Run all jobs; on return each has a record, whatever happened to its process.

        Raises
        ------
        KeyboardInterrupt
            After the running cells were stopped and recorded as ``interrupted``.
        """
