"""What a task is to the suite, and what tasks hand to metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from otbench.interface import ImageDataset, Method
from otbench.metrics.base import ScoreContext


@dataclass(frozen=True)
class ImagePairs:
    """Images and what a method made of them, for metrics of pairs and of sets.

    Attributes
    ----------
    real, generated : Tensor, shape (n, c, h, w)
        In [0, 1], on the CPU or the device; ``generated[i]`` belongs to ``real[i]`` unless
        ``paired`` is False.
    paired : bool
    """

    real: Tensor
    generated: Tensor
    paired: bool = True


@dataclass(frozen=True)
class Paths:
    """Interpolations between pairs of held-out images.

    Attributes
    ----------
    x0, x1 : Tensor, shape (n, c, h, w)
        The true end images, in [0, 1].
    frames : Tensor, shape (n, k, c, h, w)
        The paths as the method draws them at ``times``, in [0, 1].
    times : Tensor, shape (k,)
        Equally spaced, from 0 to 1.
    midpoints : ImagePairs
        Test images and the middle frames of many paths, unpaired.
    """

    x0: Tensor
    x1: Tensor
    frames: Tensor
    times: Tensor
    midpoints: ImagePairs


@dataclass(frozen=True)
class Predictions:
    """Class predictions on the test split from frozen codes.

    Attributes
    ----------
    predicted, labels : Tensor, shape (n,), int64
    dimension : int
        Numbers in a code.
    """

    predicted: Tensor
    labels: Tensor
    dimension: int


@dataclass(frozen=True)
class Clusterings:
    """K-means assignments of the test split, one a preprocessing of the codes.

    Attributes
    ----------
    assignments : dict of str to Tensor, shape (n,), int64
        Keys are ``whiten`` and ``raw``.
    labels : Tensor, shape (n,), int64
    n_init : int
        Starts of K-means.
    """

    assignments: dict[str, Tensor]
    labels: Tensor
    n_init: int


class Task(ABC):
    """Something a trained method is made to do; what it yields is what its metrics take."""

    name: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Return what method or data lack for this task, or None."""

    @abstractmethod
    def run(self, method: Any, data: ImageDataset, ctx: ScoreContext) -> Any:
        """Make the method do the task on held-out data, without gradients."""
