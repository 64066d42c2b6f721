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
"""Outputs that no one wants: empty images; one even grey; the truth, blurred; one image all along;
a mixture of the two ends; the first end, then suddenly the last; the source as it is; the truth of
another item; the truth, but every eighth item blank."""


class Undefined(ValueError):
    """The metric is undefined for this artefact; the message is the reason."""


@dataclass(frozen=True)
class Value:
    """One number with its uncertainty within the test set.

    Attributes
    ----------
    value : float
    stderr : float or None
        Standard error over the n items; None where it is not an average.
    n : int
        Items it was computed from.
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
            If there are none.
        """
        if not len(items):
            raise Undefined("there is no item to average over")
        items = items.double()
        n = len(items)
        stderr = float(items.std() / n**0.5) if n > 1 else None
        return cls(float(items.mean()), stderr, n)


class Metric(Parametrised):
    """A number for one task: a dataclass whose fields are its protocol.

    ``id`` carries the protocol, so that numbers of different protocols never share a column.
    """

    tasks: ClassVar[tuple[str, ...]]
    direction: ClassVar[Direction]
    range: ClassVar[str]
    """The values it can take, with their unit."""
    title: ClassVar[str]
    blind_to: ClassVar[tuple[Degenerate, ...]] = ()
    """Degenerate outputs that score as well as the truth. None may score better: a metric that one
    of them wins has no direction."""

    def direction_on(self, task: str) -> Direction:
        """Return the direction on one of its tasks; the same on all, unless a metric says so."""
        return self.direction

    @property
    @abstractmethod
    def id(self) -> str:
        """Name with protocol, such as ``ssim[win=7,range=1]``."""

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the weights it reads; see ``otbench data``."""
        return ()

    def missing(self, data: Any) -> str | None:
        """Return why the metric is not defined on this data, or None."""
        return None

    @abstractmethod
    def compute(self, artefact: Any, ctx: ScoreContext) -> Value:
        """Score what a task of ``tasks`` produced.

        Raises
        ------
        ValueError
            If the artefact is out of range or of the wrong shape.
        Undefined
            If the number does not exist for it; the message is the reason.
        """
