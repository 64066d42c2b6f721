"""The contract of executors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otbench.interface.parameters import Parametrised
from otbench.results.job import Job

Observer = Callable[[Job, str, dict[str, Any]], None]
"""Called with a job, an event (``started``, ``progress`` or ``ended``) and its content.

Every job starts once and ends once; the content of ``ended`` is its record.
"""


def _say_nothing(text: str) -> None:
    """Drop a line that nobody reads."""


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
        CUDA devices of this machine to spread cells over; 0 on a CPU.
    out : Path
        Results folder; the cells lie below it, and an executor may keep logs there.
    say : callable
        Prints a line for the user.
    """

    jobs: int
    timeout: float | None
    gpus: int
    out: Path = Path("results")
    say: Callable[[str], None] = _say_nothing


@dataclass
class Executor(Parametrised):
    """Runs the worker on each cell's folder, on this machine or elsewhere.

    A subclass is a dataclass; its fields, made by `otbench.interface.parameter`, are what
    ``--executor NAME[...]`` and ``--executor-config`` set. It is registered below the entry point
    ``otbench.executors``.

    The record in the cell's folder is the only result. What a queueing system says of its jobs is
    used for the reason of a cell that left no record, and for nothing else.
    """

    @property
    def here(self) -> bool:
        """Whether cells run on this machine, so that its memory and devices count."""
        return True

    def check(self) -> None:
        """Look whether cells can run at all, before anything is planned.

        Raises
        ------
        OTBenchError
            If a module, a command or a server is missing; the message says which.
        """
        return None

    @abstractmethod
    def run(self, jobs: list[Job], options: ExecutorOptions, observe: Observer) -> None:
        """Run all jobs; on return each has a record, whatever happened to its process.

        Parameters
        ----------
        jobs : list of Job
            Their requests are written.
        options : ExecutorOptions
        observe : callable
            Called from this thread only.

        Raises
        ------
        OTBenchError
            If the cells could not be handed over.
        KeyboardInterrupt
            After the running cells were stopped and recorded as ``interrupted``.
        """
