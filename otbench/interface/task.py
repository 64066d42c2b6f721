"""The contract of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from otbench.interface.data import ImageDataset
from otbench.interface.method import Method
from otbench.interface.scoring import ScoreContext


class Task(ABC):
    """Base class of tasks: a task runs a trained method; metrics score the result."""

    name: ClassVar[str]
    title: ClassVar[str]
    on: ClassVar[type] = ImageDataset
    """The kind of data that it runs on: `ImageDataset` or `MeasurePair`."""
    order: ClassVar[int] = 1000
    """Position among the tasks of a run; tasks at the same position are sorted by name."""
    default_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics, as text, that are scored if the user names none."""
    full_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that presets with full scoring add, such as Inception scores."""

    def metrics_for(self, data: Any, full: bool) -> tuple[str, ...]:
        """Return the default metrics on this data; without any, the run omits the task.

        Parameters
        ----------
        data : Data
            Data of the kind ``on``.
        full : bool
            Whether the preset asks for full scoring.
        """
        return (*self.default_metrics, *self.full_metrics) if full else self.default_metrics

    def lacks(self, data: Any) -> str | None:
        """Return what the data lack for this task, whatever the method, or None.

        If the data lack something, the run omits the task.
        """
        return None

    @abstractmethod
    def missing(self, method: Method, data: Any) -> str | None:
        """Return what the method or the data lack for this task, or None."""

    @abstractmethod
    def run(self, method: Any, data: Any, ctx: ScoreContext) -> Any:
        """Run the method on held-out data, without gradients.

        Raises
        ------
        BadOutput
            If the method returns an invalid output; the message names the call and the fault.
        """


class BadOutput(ValueError):
    """The output of a method has the wrong type, shape, dtype or range."""
