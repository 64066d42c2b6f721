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
"""Seed of the protocol: all methods and seeds are scored on the same items."""


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
        """Return a stratified sample of n items, shuffled with a fixed seed; None for all items.

        Every prefix of the sample is stratified, too, even if the data are sorted by class.
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
            # Each class is spread evenly over [0, 1), with its own random offset.
            start = torch.rand(len(counts), generator=generator, dtype=torch.float64)
            order = order[((rank + start[classes]) / counts[classes]).argsort(stable=True)]
        return order[:n]


@dataclass(frozen=True)
class CircularFamily:
    """A dense sample of the one-parameter family on which the images lie.

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
    """A transport problem posed by a few drawn images, with its solution if that is known.

    Attributes
    ----------
    balanced : bool
        Whether all images of the scene have the same mass (up to 8-bit rounding), so that balanced
        transport can map one to another.
    corners : Tensor, shape (m, c, h, w), or None
        Images whose weighted averages are drawn. Four of them are the corners of a square: top
        left, top right, bottom left, bottom right.
    geodesic : callable, or None
        Maps times (k,) to the exact 2-Wasserstein geodesics of the data set's pairs,
        (p, k, c, h, w). If it is None and there are no obstacles, the geodesics come from an exact
        plan between the pixels.
    barycenters : callable, or None
        Maps weights (k, m) to the exact 2-Wasserstein barycentres of the corners, (k, c, h, w).
    """

    balanced: bool = True
    corners: Tensor | None = None
    geodesic: Callable[[Tensor], Tensor] | None = None
    barycenters: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class ImageDataset:
    """Images in memory, with train, validation and test splits.

    Attributes
    ----------
    name, variant : str
        For example, ``mnist`` and ``full`` or ``5k``; every row of the results holds both.
    train, validation, test : Split
    sha256 : str
        Digest of the data in use, part of every cell's key.
    classes : int or None
        Number of classes of the labels.
    pairs : tuple of Tensor, or None
        Two stacks ``(p, c, h, w)`` of end points to interpolate between; if None, pairs are drawn
        from the test split.
    obstacles : Tensor, shape (h, w), bool, or None
        True where mass may not pass.
    family : CircularFamily or None
        The one-parameter family on which the images lie, if there is one.
    scene : Scene or None
        The transport problem that a few images pose; None for a collection of images. The images
        of a scene are used both for training and for scoring, so its three splits may be the same.
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
"""Maps a JAX random key and a number n to points (n, d); JAX can trace it."""


class MeasurePair(ABC):
    """A source and a target distribution, with the optimal map if it is known.

    Attributes
    ----------
    name, variant : str
        As in `ImageDataset`.
    sha256 : str
        Digest of the definition of the two distributions, part of every cell's key.
    dimension : int
    image_shape : tuple of int, or None
        Channels, height and width if points are images, flattened in that order; the product is
        the dimension. None for other points.
    gamma : float or None
        Coefficient of the weak quadratic cost for which the problem is posed; see
        `otbench.ot.neural.costs`.
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
        """Apply the optimal map to source points, (n, d) to (n, d); None if it is unknown."""
        return None

    def squared_w2(self) -> float | None:
        """Return the squared 2-Wasserstein distance if it has a known closed form, or None."""
        return None

    def weak_answer(self, gamma: float) -> WeakAnswer | None:
        """Return the closed-form solution of the gamma-weak problem, or None."""
        return None

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler] | None:
        """Return samplers of source and target for compiled training steps, or None.

        Without them, a method draws one large sample with `source` and `target` and takes its
        batches from this sample.
        """
        return None


class ImagePair(MeasurePair):
    """Two unpaired collections of images: a source that is translated to a target.

    Points are flat images in [0, 1], in the order channel, row, column. `source` and `target` draw
    from the training splits, with replacement; scores are computed on the test splits.

    Parameters
    ----------
    name, variant : str
    source, target : ImageDataset
        They have the same image shape. If both have labels, these are the modes of the target that
        a good map should reach; a class number means the same in both.
    colour_masks : Tensor, shape (n, h, w), or None
        For each test image of the source, the share of each pixel that belongs to the object whose
        colour should be preserved. If None, pixels are weighted by their brightness.

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
        """Number of modes that the labels distinguish; None if a side has no labels."""
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
"""The type that `Dataset.load` returns: images, or a pair of distributions."""


class Dataset(Parametrised):
    """Base class of data sets: a dataclass whose fields are its parameters.

    ``assets`` names the files that it reads (see ``otbench data``). The runner checks that they
    are present before any training starts.
    """

    title: ClassVar[str]
    assets: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def load(self) -> Data:
        """Read the images into memory, or set up the two distributions.

        Raises
        ------
        otbench.errors.DataError
            If a file is missing or broken; the message names it.
        """
