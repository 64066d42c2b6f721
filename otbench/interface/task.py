"""The contract of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from otbench.interface.data import ImageDataset
from otbench.interface.method import Method
from otbench.interface.scoring import ScoreContext


class Task(ABC):
    """Something a trained method is asked to do; its result goes to the metrics."""

    name: ClassVar[str]
    title: ClassVar[str]
    on: ClassVar[type] = ImageDataset
    """The kind of data it is for: `ImageDataset` or `MeasurePair`."""
    order: ClassVar[int] = 1000
    """Place among the tasks of a run; tasks at the same place go by name."""
    default_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics scored where the user names none, as text."""
    full_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that the presets with full scoring add, such as Inception scores."""

    def metrics_for(self, data: Any, full: bool) -> tuple[str, ...]:
        """Return the default metrics on this data; none leaves the task out of the run.

        Parameters
        ----------
        data : Data
            Of the kind that the task is for.
        full : bool
            Whether the preset asks for full scoring.
        """
        return (*self.default_metrics, *self.full_metrics) if full else self.default_metrics

    def lacks(self, data: Any) -> str | None:
        """Return what the data lack for this task, for any method, or None.

        A task that no method can do on the data is left out of the run altogether.
        """
        return None

    @abstractmethod
    def missing(self, method: Method, data: Any) -> str | None:
        """Return what method or data lack for this task, or None."""

    @abstractmethod
    def run(self, method: Any, data: Any, ctx: ScoreContext) -> Any:
        """Make the method do the task on held-out data, without gradients.

        Raises
        ------
        BadOutput
            If the method returns what it should not; the message names call and fault.
        """


class BadOutput(ValueError):
    """A method returned the wrong type, shape, dtype or range."""
