"""What a task is to the suite, and what tasks hand to metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from otbench.interface import Autoencoder, ImageDataset, Interpolator, Method
from otbench.metrics.base import ScoreContext, image_fault


@dataclass(frozen=True)
class ImagePairs:
    """Images and what a method made of them, for metrics of pairs and of sets.

    Attributes
    ----------
    real, generated : Tensor, shape (n, c, h, w)
        In [0, 1], on the CPU or the device; ``generated[i]`` belongs to ``real[i]`` unless
        ``paired`` is False.
    paired : bool
    samples : Tensor, shape (m, k, c, h, w), or None
        For the first m of the real images, k draws from the method's random decoder; None where
        decoding is deterministic.
    code_dimension : int or None
        Numbers in the code that each image was generated from, where there is one.
    """

    real: Tensor
    generated: Tensor
    paired: bool = True
    samples: Tensor | None = None
    code_dimension: int | None = None


SAMPLE_SEED = 20_220_621
"""Fixes what a random decoder draws, whatever the seed of the training."""

PATH_TASKS = ("interpolation", "geodesic", "obstacles", "limited-data")
"""The tasks that hand `Paths` to their metrics."""


@dataclass(frozen=True)
class Paths:
    """Interpolations between pairs of images.

    Attributes
    ----------
    x0, x1 : Tensor, shape (n, c, h, w)
        The true end images, in [0, 1].
    frames : Tensor, shape (n, k, c, h, w)
        The paths as the method draws them at ``times``, in [0, 1].
    times : Tensor, shape (k,)
        Equally spaced, from 0 to 1.
    midpoints : ImagePairs or None
        Test images and the middle frames of many paths, unpaired, where a task draws them.
    """

    x0: Tensor
    x1: Tensor
    frames: Tensor
    times: Tensor
    midpoints: ImagePairs | None = None


def between_true_ends(x0: Tensor, x1: Tensor, frames: Tensor) -> Tensor:
    """Put the true ends (n, c, h, w) in the place of the first and last of (n, k, c, h, w)."""
    return torch.cat([x0.unsqueeze(1), frames[:, 1:-1], x1.unsqueeze(1)], 1)


@dataclass(frozen=True)
class KnownPaths(Paths):
    """Paths whose answer is known.

    Attributes
    ----------
    exact : Tensor, shape (n, k, c, h, w), float64
        The 2-Wasserstein geodesics at ``times``, each colour a density of its own. Only their
        shape counts, not their scale: a pixel may exceed 1.
    """

    exact: Tensor = field(kw_only=True)


@dataclass(frozen=True)
class WalledPaths(Paths):
    """Paths among walls; ``frames`` have the walls set to 0.

    Attributes
    ----------
    drawn : Tensor, shape (n, k, c, h, w)
        The frames with what the method puts on walls, in [0, 1].
    obstacles : Tensor, shape (h, w), bool
        True where no mass may be.
    """

    drawn: Tensor = field(kw_only=True)
    obstacles: Tensor = field(kw_only=True)


@dataclass(frozen=True)
class Barycenters:
    """Weighted averages of a few corner images.

    Attributes
    ----------
    corners : Tensor, shape (m, c, h, w)
        In [0, 1].
    weights : Tensor, shape (k, m)
        Not negative; the rows sum to 1.
    images : Tensor, shape (k, c, h, w)
        What the method draws, in [0, 1].
    exact : Tensor, shape (k, c, h, w), or None
        The exact 2-Wasserstein barycentres, where they are known; only their shape counts.
    """

    corners: Tensor
    weights: Tensor
    images: Tensor
    exact: Tensor | None = None


@dataclass(frozen=True)
class Predictions:
    """Class predictions on the test split from frozen codes.

    Attributes
    ----------
    predicted, labels : Tensor, shape (n,), int64
    dimension : int
        Numbers in a code.
    train_size : int
        Training codes that the classifier learned from.
    """

    predicted: Tensor
    labels: Tensor
    dimension: int
    train_size: int


@dataclass(frozen=True)
class LatentCodes:
    """Codes of images with the labels of the test split.

    Attributes
    ----------
    train, test : Tensor, shape (n, d), (m, d)
        float32.
    labels : Tensor, shape (m,), int64
        Of ``test``.
    classes : int
        How many classes there are.
    """

    train: Tensor
    test: Tensor
    labels: Tensor
    classes: int


class Task(ABC):
    """Something a trained method is made to do; what it yields is what its metrics take."""

    name: ClassVar[str]
    title: ClassVar[str]
    on: ClassVar[type] = ImageDataset
    """The kind of data it is for: `ImageDataset` or `MeasurePair`."""

    def lacks(self, data: Any) -> str | None:
        """Return what the data lacks for this task whatever the method, or None.

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


def _check_tensor(value: Any, dimensions: Sequence[int | None], call: str) -> None:
    if not isinstance(value, Tensor):
        raise BadOutput(f"{call} returned a {type(value).__name__}, wanted a tensor")
    shape = tuple(value.shape)
    if len(shape) != len(dimensions) or any(
        wanted not in (None, size) for size, wanted in zip(shape, dimensions, strict=True)
    ):
        wanted = ", ".join("d" if size is None else str(size) for size in dimensions)
        raise BadOutput(f"{call} returned shape {shape}, wanted ({wanted})")
    if value.dtype != torch.float32:
        raise BadOutput(f"{call} returned {value.dtype}, wanted torch.float32")


def checked_images(images: Any, shape: Sequence[int], call: str) -> Tensor:
    """Return what a method drew if it is float32 of the wanted shape and lies in [0, 1].

    Values are not clipped: rounding up to 1e-4 outside passes, more is the method's fault.

    Raises
    ------
    BadOutput
        If not; ``call`` names the culprit in the message.
    """
    _check_tensor(images, shape, call)
    fault = image_fault(images)
    if fault:
        raise BadOutput(f"what {call} returned {fault}")
    result: Tensor = images
    return result


def checked_points(points: Any, n: int, dimension: int, call: str) -> Tensor:
    """Return n points if they are float32 of shape (n, dimension) and finite.

    Raises
    ------
    BadOutput
        If not; ``call`` names the culprit in the message.
    """
    _check_tensor(points, (n, dimension), call)
    bad = int((~torch.isfinite(points)).any(1).sum())
    if bad:
        raise BadOutput(f"{call} returned {bad} of {n} points that are not finite")
    result: Tensor = points
    return result


def encoded(method: Autoencoder, images: Tensor, ctx: ScoreContext) -> Tensor:
    """Encode images in batches and check the codes, float32 of shape (n, d) and finite.

    Raises
    ------
    BadOutput
        If they are not.
    """
    call = f"{type(method).__name__}.encode"

    def encode(x: Tensor) -> Tensor:
        codes = method.encode(x)
        _check_tensor(codes, (len(x), None), call)
        bad = int((~torch.isfinite(codes)).sum())
        if bad:
            raise BadOutput(f"what {call} returned has {bad} values that are not finite")
        return codes.to(ctx.device)

    return ctx.batched(encode, images)


def decoded(method: Autoencoder, codes: Tensor, data: ImageDataset, ctx: ScoreContext) -> Tensor:
    """Decode codes in batches and check the images.

    Raises
    ------
    BadOutput
        If they are of the wrong type, shape, dtype or range.
    """
    call = f"{type(method).__name__}.decode"

    def decode(z: Tensor) -> Tensor:
        shape = (len(z), *data.image_shape)
        return checked_images(method.decode(z), shape, call).to(ctx.device)

    return ctx.batched(decode, codes)


def decoded_samples(
    method: Autoencoder, codes: Tensor, n: int, data: ImageDataset, ctx: ScoreContext
) -> Tensor | None:
    """Draw n images for each code from a random decoder; None where decoding is deterministic.

    Raises
    ------
    BadOutput
        If they are of the wrong type, shape, dtype or range.
    """
    call = f"{type(method).__name__}.decode_samples"
    generator = torch.Generator(ctx.device).manual_seed(SAMPLE_SEED)
    parts = []
    for z in codes.split(max(1, ctx.batch_size // n)):
        with torch.no_grad():
            images = method.decode_samples(z, n, generator)
        if images is None:
            return None
        parts.append(checked_images(images, (len(z), n, *data.image_shape), call).to(ctx.device))
    return torch.cat(parts)


def scored_images(data: ImageDataset, ctx: ScoreContext) -> Tensor:
    """Return the test images to score, one tensor on the device for all tasks of a cell."""
    return ctx.once("test-images", lambda: data.test.images[: ctx.sample].to(ctx.device), of=data)


def scored_codes(method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> Tensor:
    """Return the codes (n, d) of the test images to score, encoded once a cell."""
    return ctx.once(
        "scored-codes", lambda: encoded(method, scored_images(data, ctx), ctx), of=method
    )


def latent_codes(method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> LatentCodes:
    """Encode training and test images, once a cell.

    The first `ScoreContext.train_sample` training images, and the test images to score.
    """

    def compute() -> LatentCodes:
        train, labels = data.train.images[: ctx.train_sample], data.test.labels
        if labels is None or data.train.labels is None:
            raise ValueError(f"{data.name} has no labels")
        classes = data.classes or int(max(labels.max(), data.train.labels.max())) + 1
        test = scored_codes(method, data, ctx)
        labels = labels[: len(test)].to(ctx.device)
        return LatentCodes(encoded(method, train, ctx), test, labels, classes)

    return ctx.once("latent-codes", compute, of=method)


def missing_codes(method: Method, data: ImageDataset, labels: bool) -> str | None:
    """Say what a task on codes lacks, or None.

    Parameters
    ----------
    method : Method
    data : ImageDataset
    labels : bool
        Whether the task needs labels too.
    """
    if not isinstance(method, Autoencoder):
        name = type(method).__name__
        does = "only interpolates" if isinstance(method, Interpolator) else "has no code"
        return f"needs encode: {name} {does}"
    if labels and (data.train.labels is None or data.test.labels is None):
        return f"needs labels: {data.name} has none"
    return None
