"""What a metric is to the suite."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import torch

from otbench.interface import ImageDataset

Direction = Literal["higher", "lower", "neutral"]
Result = TypeVar("Result")


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
    def of(cls, items: torch.Tensor) -> Value:
        """Average per-item values, shape (n,)."""
        items = items.double()
        n = len(items)
        stderr = float(items.std() / n**0.5) if n > 1 else None
        return cls(float(items.mean()), stderr, n)


@dataclass
class ScoreContext:
    """Device, randomness, sizes, and a memory shared by the metrics of one cell.

    Attributes
    ----------
    device : torch.device
    seed : int
    data : ImageDataset
        What the method was trained on.
    sample : int or None
        Images to score at most (the first ones of the test split), None for all.
    train_sample : int or None
        Training images whose codes the classifier and K-means are fitted on, None for all.
    pairs : int
        Pairs of test images to interpolate between.
    midpoints : int
        Paths whose middle frames are scored as a set.
    frames : int
        Frames of a path, both ends included.
    batch_size : int
        Images that pass a network at once.
    """

    device: torch.device
    seed: int
    data: ImageDataset
    sample: int | None = None
    train_sample: int | None = None
    pairs: int = 256
    midpoints: int = 1000
    frames: int = 11
    batch_size: int = 256
    _memory: dict[str, Any] = field(default_factory=dict, repr=False)

    def once(self, key: str, compute: Callable[[], Result]) -> Result:
        """Compute a thing the first time it is asked for, and keep it for the other metrics."""
        if key not in self._memory:
            self._memory[key] = compute()
        result: Result = self._memory[key]
        return result


class Metric(ABC):
    """A number for one task: a dataclass whose fields are its protocol.

    ``id`` carries the protocol, so that numbers of different protocols never share a column.
    """

    tasks: ClassVar[tuple[str, ...]]
    direction: ClassVar[Direction]
    range: ClassVar[str]
    """The values it can take, with their unit."""
    title: ClassVar[str]

    @property
    @abstractmethod
    def id(self) -> str:
        """Name with protocol, such as ``ssim[win=7,range=1]``."""

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the weights it reads; see ``otbench data``."""
        return ()

    def missing(self, data: ImageDataset) -> str | None:
        """Return why the metric means nothing on this data, or None."""
        return None

    @abstractmethod
    def compute(self, artefact: Any, ctx: ScoreContext) -> Value:
        """Score what a task of ``tasks`` produced.

        Raises
        ------
        ValueError
            If the artefact is out of range or of the wrong shape.
        """
