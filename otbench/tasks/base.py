"""Checked calls of a method's functions, and helpers that several tasks share.

Methods receive copies, so that writing into an argument does not change the data to be scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from otbench.interface.artefacts import (
    LatentCodes,
)
from otbench.interface.data import ImageDataset, Split
from otbench.interface.method import Autoencoder, Interpolator, Method
from otbench.interface.scoring import ScoreContext, image_fault
from otbench.interface.task import BadOutput, Task

INCEPTION_METRICS = ("fid[inception-2048]", "kid[inception-2048]")
"""Metrics that presets with full scoring add to tasks that compare two sets of images."""

SAMPLE_SEED = 20_220_621
"""Seed of the draws from a random decoder, independent of the seed of the training."""


class CollectionTask(Task):
    """A task on collections of images; scenes have other tasks."""

    def metrics_for(self, data: ImageDataset, full: bool) -> tuple[str, ...]:
        """Return no metrics for a scene."""
        return super().metrics_for(data, full) if data.scene is None else ()


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
    """Check that images are float32, have the given shape and lie in [0, 1]; return them.

    Values are not clipped. They may lie up to 1e-4 outside [0, 1], to allow for rounding.

    Raises
    ------
    BadOutput
        If the check fails; the message names ``call``.
    """
    _check_tensor(images, shape, call)
    fault = image_fault(images)
    if fault:
        raise BadOutput(f"the output of {call} {fault}")
    result: Tensor = images
    return result


def checked_points(points: Any, n: int, dimension: int, call: str) -> Tensor:
    """Check that points are float32 of shape (n, dimension) and finite; return them.

    Raises
    ------
    BadOutput
        If the check fails; the message names ``call``.
    """
    _check_tensor(points, (n, dimension), call)
    bad = int((~torch.isfinite(points)).any(1).sum())
    if bad:
        raise BadOutput(f"{call} returned {bad} of {n} points that are not finite")
    result: Tensor = points
    return result


def encoded(method: Autoencoder, images: Tensor, ctx: ScoreContext) -> Tensor:
    """Encode images in batches, and check the codes.

    Raises
    ------
    BadOutput
        If the codes are not float32 of shape (n, d) and finite.
    """
    call = f"{type(method).__name__}.encode"

    def encode(x: Tensor) -> Tensor:
        codes = method.encode(x.clone())
        _check_tensor(codes, (len(x), None), call)
        bad = int((~torch.isfinite(codes)).sum())
        if bad:
            raise BadOutput(f"the output of {call} has {bad} values that are not finite")
        return codes.to(ctx.device)

    return ctx.batched(encode, images)


def decoded(method: Autoencoder, codes: Tensor, data: ImageDataset, ctx: ScoreContext) -> Tensor:
    """Decode codes in batches, and check the images.

    Raises
    ------
    BadOutput
        If the images have the wrong type, shape, dtype or range.
    """
    call = f"{type(method).__name__}.decode"

    def decode(z: Tensor) -> Tensor:
        shape = (len(z), *data.image_shape)
        return checked_images(method.decode(z.clone()), shape, call).to(ctx.device)

    return ctx.batched(decode, codes)


def decoded_samples(
    method: Autoencoder, codes: Tensor, n: int, data: ImageDataset, ctx: ScoreContext
) -> Tensor | None:
    """Draw n images for each code from a random decoder; None if decoding is deterministic.

    Raises
    ------
    BadOutput
        If the images have the wrong type, shape, dtype or range.
    """
    call = f"{type(method).__name__}.decode_samples"
    generator = torch.Generator(ctx.device).manual_seed(SAMPLE_SEED)
    parts = []
    for z in codes.split(max(1, ctx.batch_size // n)):
        with torch.no_grad():
            images = method.decode_samples(z.clone(), n, generator)
        if images is None:
            return None
        parts.append(checked_images(images, (len(z), n, *data.image_shape), call).to(ctx.device))
    return torch.cat(parts)


def scored_split(data: ImageDataset, ctx: ScoreContext) -> Split:
    """Return the test images to score with their labels, on the device, sampled once per cell."""

    def draw() -> Split:
        split = data.test.sample(ctx.sample)
        labels = None if split.labels is None else split.labels.to(ctx.device)
        return Split(split.images.to(ctx.device), labels)

    return ctx.once("test-split", draw, of=data)


def scored_images(data: ImageDataset, ctx: ScoreContext) -> Tensor:
    """Return the test images to score, one tensor on the device for all tasks of a cell."""
    return scored_split(data, ctx).images


def scored_codes(method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> Tensor:
    """Return the codes (n, d) of the test images to score, encoded once per cell."""
    return ctx.once(
        "scored-codes", lambda: encoded(method, scored_images(data, ctx), ctx), of=method
    )


def latent_codes(method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> LatentCodes:
    """Encode training and test images, once per cell.

    The training images are a stratified sample of `ScoreContext.train_sample`; the test images are
    those to score.
    """

    def compute() -> LatentCodes:
        train, labels = data.train.sample(ctx.train_sample), scored_split(data, ctx).labels
        if labels is None or train.labels is None:
            raise ValueError(f"{data.name} has no labels")
        classes = data.classes or 1 + max(int(part.max()) for part in (labels, train.labels))
        return LatentCodes(
            encoded(method, train.images, ctx),
            scored_codes(method, data, ctx),
            labels,
            classes,
            train.labels.to(ctx.device),
        )

    return ctx.once("latent-codes", compute, of=method)


def missing_codes(method: Method, data: ImageDataset, labels: bool) -> str | None:
    """Return what the method or the data lack for a task on codes, or None.

    Parameters
    ----------
    method : Method
    data : ImageDataset
    labels : bool
        Whether the task needs labels.
    """
    if not isinstance(method, Autoencoder):
        name = type(method).__name__
        does = "only interpolates" if isinstance(method, Interpolator) else "has no code"
        return f"needs encode: {name} {does}"
    if labels and (data.train.labels is None or data.test.labels is None):
        return f"needs labels: {data.name} has none"
    return None
