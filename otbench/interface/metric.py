"""The contract of metrics."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from otbench.interface.parameters import Parametrised
from otbench.interface.scoring import ScoreContext

Direction = Literal["higher", "lower", "neutral"]

Degenerate = Literal[
    "blank",
    "grey",
    "blurred",
    "frozen",
    "cross-faded",
    "teleporting",
    "copied",
    "shuffled",
    "one bad of eight",
]
"""Degenerate outputs, in this order: empty images; uniform grey; the truth, blurred; one image
throughout; a mixture of the two ends; the first end, then a jump to the last; the unchanged source;
the truth of another item; the truth, with every eighth item blank."""


class Undefined(ValueError):
    """The metric is undefined for this artefact; the message is the reason."""


@dataclass(frozen=True)
class Value:
    """One number with its uncertainty within the test set.

    Attributes
    ----------
    value : float
    stderr : float or None
        Standard error over the n items; None if the value is not an average.
    n : int
        Number of items that it was computed from.
    """

    value: float
    stderr: float | None
    n: int

    @classmethod
    def of(cls, items: Tensor) -> Value:
        """Average per-item values, shape (n,).

        Raises
        ------
        Undefined
            If there are no values.
        """
        if not len(items):
            raise Undefined("there is no item to average over")
        items = items.double()
        n = len(items)
        stderr = float(items.std() / n**0.5) if n > 1 else None
        return cls(float(items.mean()), stderr, n)


class Metric(Parametrised):
    """Base class of metrics: a dataclass whose fields are its protocol.

    ``id`` contains the protocol, so that numbers of different protocols never share a column.
    """

    tasks: ClassVar[tuple[str, ...]]
    direction: ClassVar[Direction]
    range: ClassVar[str]
    """The possible values, with their unit."""
    title: ClassVar[str]
    blind_to: ClassVar[tuple[Degenerate, ...]] = ()
    """Degenerate outputs that score as well as the truth. If one of them scores better, the metric
    must have no direction."""

    def direction_on(self, task: str) -> Direction:
        """Return the direction on one of its tasks; by default, it is the same on all of them."""
        return self.direction

    @property
    @abstractmethod
    def id(self) -> str:
        """Name with protocol, such as ``ssim[win=7,range=1]``."""

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the weights that it reads; see ``otbench data``."""
        return ()

    def missing(self, data: Any) -> str | None:
        """Return the reason why the metric is undefined on this data, or None."""
        return None

    @abstractmethod
    def compute(self, artefact: Any, ctx: ScoreContext) -> Value:
        """Score what a task of ``tasks`` produced.

        Raises
        ------
        ValueError
            If the artefact is out of range or of the wrong shape.
        Undefined
            If the metric is undefined for the artefact; the message is the reason.
        """
