"""What a method and a dataset are to the suite, and what the suite gives a method while it trains.

Everything a plugin author needs is importable from here. Images are float32 tensors of shape
``(n, c, h, w)`` with values in [0, 1]; codes are float32 tensors of shape ``(n, d)``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from otbench.context import Budget, Diverged, FitContext
from otbench.errors import DataError

if TYPE_CHECKING:
    from otbench.ot.weak import WeakAnswer

__all__ = [
    "Autoencoder",
    "Budget",
    "CircularFamily",
    "Data",
    "Dataset",
    "Diverged",
    "FitContext",
    "ImageDataset",
    "ImagePair",
    "Interpolator",
    "JaxSampler",
    "MeasurePair",
    "Method",
    "MethodCard",
    "PaperSettings",
    "Scene",
    "Split",
    "StochasticMap",
    "TransportMap",
    "parameter",
]


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


def parameter(default: Any, doc: str, origin: str = "chosen here", **kwargs: Any) -> Any:
    """Declare a parameter of a method or dataset: a dataclass field with its meaning and origin.

    Parameters
    ----------
    default : int, float, str, bool, or tuple of those
    doc : str
        What it does, with unit and range; shown by ``otbench show``.
    origin : str
        Where the default comes from: a paper's section, released code, or a sweep.
    """
    return field(default=default, metadata={"doc": doc, "origin": origin}, **kwargs)


@dataclass(frozen=True)
class PaperSettings:
    """The authors' own settings, used by the preset ``paper`` (track ``native``).

    Attributes
    ----------
    parameters : dict
        Overrides of the method's parameters.
    steps : int
        Updates of the model.
    batch_size : int
    """

    parameters: dict[str, Any]
    steps: int
    batch_size: int


@dataclass(frozen=True)
class MethodCard:
    """What a method says about itself; ``otbench show METHOD`` prints it.

    Attributes
    ----------
    title : str
        One line.
    source : str
        Paper and, where used, the release that was read.
    equations : tuple of str
        The losses as they are computed here, each with its number in the paper.
    deviations : tuple of str
        Where this implementation departs from paper or release, and why.
    paper : PaperSettings or None
        The authors' settings; None where there is no such training.
    relative_cost : float
        Training time relative to the plain autoencoder's, roughly; the longest cells start first.
    """

    title: str
    source: str
    equations: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    paper: PaperSettings | None = None
    relative_cost: float = 1.0


class Method(ABC):
    """A method under test: a dataclass whose fields are its parameters, plain values only.

    Subclasses are decorated with ``@dataclass``; whatever ``fit`` learns is kept in attributes
    whose names end in an underscore and written by ``save``.
    """

    card: ClassVar[MethodCard]
    runs_on: ClassVar[type]
    """`ImageDataset` or `MeasurePair`; set by the base classes below."""

    def skip(self, data: Any) -> str | None:
        """Return why this method cannot run on the data, or None where it can."""
        return None

    def paper_settings(self, data: Any) -> PaperSettings | None:
        """Return the authors' settings for such data; the card's, unless a method overrides it."""
        return self.card.paper

    @abstractmethod
    def fit(self, data: Any, ctx: FitContext) -> None:
        """Learn from the data within the budget of the context.

        An `Interpolator` is given an `ImageDataset` and learns from its training split, a
        `TransportMap` a `MeasurePair`.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what ``fit`` learned: safetensors and JSON, never pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Read back what ``save`` wrote."""

    def parameters(self) -> dict[str, Any]:
        """Return the declared parameters with their values."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if f.init
        }


class Interpolator(Method):
    """A method that draws a path between two images."""

    runs_on: ClassVar[type] = ImageDataset

    @abstractmethod
    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Draw the path from x0 to x1.

        Parameters
        ----------
        x0, x1 : Tensor, shape (n, c, h, w)
            End points, in [0, 1].
        t : Tensor, shape (k,)
            Times in [0, 1]; 0 is x0.

        Returns
        -------
        Tensor, shape (n, k, c, h, w)
            Frames, in [0, 1].
        """

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Average the images x, shape (m, c, h, w), by each row of weights, shape (k, m)."""
        raise NotImplementedError(f"{type(self).__name__} draws no barycentres")


class Autoencoder(Interpolator):
    """A method with a code: interpolation and barycentres follow from encode and decode."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to codes (n, d)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Map codes (n, d) to images (n, c, h, w) in [0, 1]."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images from the model, shape (n, c, h, w)."""
        raise NotImplementedError(f"{type(self).__name__} has no prior to sample from")

    def decode_samples(self, z: Tensor, n: int, generator: torch.Generator) -> Tensor | None:
        """Draw n images for each code (m, d), shape (m, n, c, h, w), from a random decoder.

        None where decoding is deterministic, as it is by default. `decode` is deterministic in
        either case.
        """
        return None

    def code_path(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Return the straight line between the codes of images (n, c, h, w), shape (n, k, d)."""
        z0, z1 = self.encode(x0), self.encode(x1)
        time = t.to(z0).view(1, -1, 1)
        return (1 - time) * z0.unsqueeze(1) + time * z1.unsqueeze(1)

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Decode the straight line between the two codes."""
        path = self.code_path(x0, x1, t)
        return self.decode(path.flatten(0, 1)).unflatten(0, path.shape[:2])

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Decode the weighted mean of the codes."""
        return self.decode(weights.to(x) @ self.encode(x))


class TransportMap(Method):
    """A map that carries a source distribution to a target."""

    runs_on: ClassVar[type] = MeasurePair

    @abstractmethod
    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Carry source points to the target, (n, d) to (n, d)."""

    def pull(self, y: Tensor) -> Tensor:
        """Carry target points back to the source, (n, d) to (n, d)."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse map")

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared 2-Wasserstein distance by the dual, from samples of the two."""
        raise NotImplementedError(f"{type(self).__name__} has no dual potentials")

    def potential_value(self, x: Tensor) -> Tensor:
        """Evaluate the potential f whose gradient ``push`` is, (n, d) to (n,); for pictures."""
        raise NotImplementedError(f"{type(self).__name__} has no potential")


class StochasticMap(TransportMap):
    """A map that carries a point to a law: ``push`` draws from it."""

    @abstractmethod
    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw n times where each point goes, (m, d) to (m, n, d).

        Where noise drives the map, all points share the n draws of it, so that differences between
        points are not the noise's.
        """

    def barycentric(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Return the mean of where each point goes, (m, d) to (m, d), by n draws if need be."""
        return self.conditional(x, n, generator).mean(dim=1)

    def cost_gamma(self) -> float | None:
        """Return gamma of the weak quadratic cost it minimises; None where it is another cost."""
        return None

    def potential_losses(self) -> Tensor | None:
        """Return the potential's loss of every step of training, (steps,); None without one."""
        return None


class Dataset(ABC):
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
