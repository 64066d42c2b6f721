"""The contract of data sets.

Images are float32 tensors of shape ``(n, c, h, w)`` with values in [0, 1].
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from otbench.errors import DataError
from otbench.interface.parameters import Parametrised

if TYPE_CHECKING:
    from otbench.ot.discrete.weak import WeakAnswer


SAMPLE_SEED = 7_160_009
"""Of the protocol: all methods and seeds are scored on the same items."""


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes
    ----------
    images : Tensor, shape (n, c, h, w)
        float32 in [0, 1].
    labels : Tensor, shape (n,), or None
        int64 class indices.
    """

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, n: int | None = None) -> Split:
        """Return n items, the classes in proportion, shuffled by a fixed seed; None for all.

        Every beginning of the sample is such a sample itself: a file that is sorted by class may
        be scored by its first few items.
        """
        rows = self.sample_rows(n)
        return Split(self.images[rows], None if self.labels is None else self.labels[rows])

    def sample_rows(self, n: int | None = None) -> Tensor:
        """Return the indices of `sample`, shape (min(n, len),), int64, on the CPU."""
        generator = torch.Generator().manual_seed(SAMPLE_SEED)
        order = torch.randperm(len(self), generator=generator)
        if self.labels is not None:
            _, classes, counts = self.labels.cpu()[order].unique(
                return_inverse=True, return_counts=True
            )
            by_class = classes.argsort(stable=True)
            rank = torch.empty_like(by_class)
            rank[by_class] = torch.cat([torch.arange(count) for count in counts.tolist()])
            # Each class is spread evenly over [0, 1), from a start of its own.
            start = torch.rand(len(counts), generator=generator, dtype=torch.float64)
            order = order[((rank + start[classes]) / counts[classes]).argsort(stable=True)]
        return order[:n]


@dataclass(frozen=True)
class CircularFamily:
    """A dense sample of the one-parameter family that the images truly lie on.

    Attributes
    ----------
    images : Tensor, shape (m, c, h, w)
    angles : Tensor, shape (m,)
        The parameter of each image, in radians, in [0, 2 pi).
    """

    images: Tensor
    angles: Tensor


@dataclass(frozen=True)
class Scene:
    """One transport problem, posed by a few drawn images, with its answer where that is known.

    Attributes
    ----------
    balanced : bool
        Whether all images of the scene have one mass (up to 8-bit rounding), so that transport
        alone can carry one to another.
    corners : Tensor, shape (m, c, h, w), or None
        Images to average with weights; four of them span a square: top left, top right, bottom
        left, bottom right.
    geodesic : callable, or None
        From times (k,) to the exact 2-Wasserstein geodesics of the data set's pairs,
        (p, k, c, h, w). Without it, an exact plan between the pixels serves where there are no
        obstacles.
    barycenters : callable, or None
        From weights (k, m) to the exact 2-Wasserstein barycentres of the corners, (k, c, h, w).
    """

    balanced: bool = True
    corners: Tensor | None = None
    geodesic: Callable[[Tensor], Tensor] | None = None
    barycenters: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class ImageDataset:
    """Images with train, validation and test splits, ready in memory.

    Attributes
    ----------
    name, variant : str
        ``mnist`` and, for instance, ``full`` or ``5k``; both stand in every row of the results.
    train, validation, test : Split
    sha256 : str
        Digest of the data in use, part of every cell's key.
    classes : int or None
        How many classes the labels have.
    pairs : tuple of Tensor, or None
        Two stacks ``(p, c, h, w)`` of end points to interpolate between; drawn from the test split
        when absent.
    obstacles : Tensor, shape (h, w), bool, or None
        True where mass may not pass.
    family : CircularFamily or None
        The true one-parameter family, where there is one.
    scene : Scene or None
        What makes a few images one transport problem; None for a collection of images. A scene
        trains on the images that it is scored on: its three splits may be the same.
    """

    name: str
    variant: str
    train: Split
    validation: Split
    test: Split
    sha256: str
    classes: int | None = None
    pairs: tuple[Tensor, Tensor] | None = None
    obstacles: Tensor | None = None
    family: CircularFamily | None = None
    scene: Scene | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width


JaxSampler = Callable[[Any, int], Any]
"""From a JAX random key and a number n to points (n, d); JAX can trace it."""


class MeasurePair(ABC):
    """Two distributions to carry onto each other, with the true map where it is known.

    Attributes
    ----------
    name, variant : str
        As of an `ImageDataset`.
    sha256 : str
        Digest of whatever defines the two distributions, part of every cell's key.
    dimension : int
    image_shape : tuple of int, or None
        Channels, height and width where points are flattened images, in that order; their product
        is the dimension. None where points are just points.
    gamma : float or None
        Of the weak quadratic cost (see `otbench.ot.neural.costs`) that the pair is posed for.
    """

    name: str
    variant: str
    sha256: str
    dimension: int
    image_shape: tuple[int, int, int] | None = None
    gamma: float | None = None

    @abstractmethod
    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the source, shape (n, d), float32, on the CPU."""

    @abstractmethod
    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the target, shape (n, d), float32, on the CPU."""

    def true_map(self, x: Tensor) -> Tensor | None:
        """Carry source points by the optimal map, (n, d) to (n, d); None where it is unknown."""
        return None

    def squared_w2(self) -> float | None:
        """Return the squared 2-Wasserstein distance where it is known in closed form."""
        return None

    def weak_answer(self, gamma: float) -> WeakAnswer | None:
        """Return what solves the gamma-weak problem in closed form, or None."""
        return None

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler] | None:
        """Return samplers of source and target for compiled training steps, or None.

        Without them a method draws a large sample by `source` and `target` once and takes its
        batches from that.
        """
        return None


class ImagePair(MeasurePair):
    """Two collections of images, unpaired, to be carried from one to the other.

    Points are flat images in [0, 1], in the order channel, row, column. `source` and `target` draw
    from the training splits, with replacement; scores come from the test splits.

    Parameters
    ----------
    name, variant : str
    source, target : ImageDataset
        Of one image shape. Labels, where both have them, are modes of the target that a good map
        should reach: the classes of both number the same kinds.
    colour_masks : Tensor, shape (n, h, w), or None
        For each test image of the source, the share of each pixel that belongs to the thing whose
        colour should survive; None: pixels count by their brightness.

    Raises
    ------
    DataError
        If the images of the two differ in shape.
    """

    image_shape: tuple[int, int, int]

    def __init__(
        self,
        name: str,
        variant: str,
        source: ImageDataset,
        target: ImageDataset,
        colour_masks: Tensor | None = None,
    ) -> None:
        if source.image_shape != target.image_shape:
            shapes = ("x".join(map(str, side.image_shape)) for side in (source, target))
            raise DataError(
                f"{name}: both sides need images of one shape (channels x height x width), got "
                + " and ".join(shapes)
            )
        self.name, self.variant = name, variant
        self.source_images, self.target_images = source, target
        self.colour_masks = colour_masks
        self.image_shape = source.image_shape
        self.dimension = math.prod(self.image_shape)
        digests = f"{source.sha256}/{target.sha256}"
        self.sha256 = hashlib.sha256(digests.encode()).hexdigest()

    @property
    def classes(self) -> int | None:
        """How many modes the labels tell apart; None where a side has none."""
        counts = (self.source_images.classes, self.target_images.classes)
        return None if None in counts else max(count for count in counts if count is not None)

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n training images of the source, flat."""
        return _drawn(self.source_images.train, n, generator)

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n training images of the target, flat."""
        return _drawn(self.target_images.train, n, generator)

    def images(self, points: Tensor) -> Tensor:
        """Return points (n, d) as images (n, c, h, w)."""
        return points.unflatten(1, self.image_shape)


def _drawn(split: Split, n: int, generator: torch.Generator) -> Tensor:
    rows = torch.randint(len(split), (n,), generator=generator)
    return split.images[rows].flatten(1)


Data = ImageDataset | MeasurePair
"""What a data set loads: images, or a pair of distributions."""


class Dataset(Parametrised):
    """A source of images or of two distributions: a dataclass whose fields are its parameters.

    ``assets`` names the files it reads (see ``otbench data``); the runner makes sure that they
    are there before anything trains.
    """

    title: ClassVar[str]
    assets: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def load(self) -> Data:
        """Read the images into memory, or set the two distributions up.

        Raises
        ------
        otbench.errors.DataError
            If a file is missing or broken; the message names it.
        """
