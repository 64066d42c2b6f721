"""Fixed splits for data sets without their own; digests and variant names of data sets."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import torch
from torch import Tensor

from otbench.interface import Dataset, Split

# Splits of ten consecutive images of one class: 7 training, 2 test, 1 validation. The first three
# go to different splits, so that three images are enough to fill all splits.
CYCLE = (
    "train",
    "test",
    "validation",
    "train",
    "train",
    "train",
    "test",
    "train",
    "train",
    "train",
)


def stratified(images: Tensor, labels: Tensor | None) -> tuple[Split, Split, Split]:
    """Split 70 : 10 : 20 within each class, by the rank of an image in its class.

    Parameters
    ----------
    images : Tensor, shape (n, c, h, w)
    labels : Tensor, shape (n,), or None
        None counts as one class.

    Returns
    -------
    train, validation, test : Split
    """
    kinds = labels if labels is not None else torch.zeros(len(images), dtype=torch.long)
    rank = torch.empty_like(kinds)
    for kind in kinds.unique():
        of_kind = kinds == kind
        rank[of_kind] = torch.arange(int(of_kind.sum()))
    place = rank % len(CYCLE)

    def part(name: str) -> Split:
        turns = torch.tensor([i for i, turn in enumerate(CYCLE) if turn == name])
        chosen = torch.isin(place, turns)
        return Split(images[chosen], None if labels is None else labels[chosen])

    return part("train"), part("validation"), part("test")


TEST, VALIDATION = 0.2, 0.1
"""Fractions of the test and the validation split."""


def by_digest(images: Tensor, labels: Tensor | None) -> tuple[Split, Split, Split]:
    """Split 70 : 10 : 20 within each class, by a digest of each image's pixels.

    The order of the images does not matter, so sorted poses or frames of a film do not fall into
    splits periodically. Equal images are in the same split. An image keeps its split when others
    are added, unless its class is so small that a split would be empty. In that case the images are
    ranked by their digests and the splits are filled in that order.

    Parameters
    ----------
    images : Tensor, shape (n, c, h, w)
    labels : Tensor, shape (n,), or None
        None counts as one class.

    Returns
    -------
    train, validation, test : Split
        Images keep their order within each split.
    """
    kinds = labels if labels is not None else torch.zeros(len(images), dtype=torch.long)
    place = torch.tensor([_place(image) for image in images], dtype=torch.float64)
    part = torch.zeros(len(images), dtype=torch.long)
    part[place < TEST + VALIDATION] = 1
    part[place < TEST] = 2
    for kind in kinds.unique():
        rows = torch.nonzero(kinds == kind)[:, 0]
        if len(part[rows].unique()) < 3:
            part[rows] = 0
            ranked = rows[torch.argsort(place[rows], stable=True)]
            tests, validations = (max(1, round(share * len(rows))) for share in (TEST, VALIDATION))
            part[ranked[:tests]] = 2
            part[ranked[tests : tests + validations]] = 1
    train, validation, test = (
        Split(images[part == i], None if labels is None else labels[part == i]) for i in range(3)
    )
    return train, validation, test


def _place(image: Tensor) -> float:
    """Return a number in [0, 1) that depends only on the pixels, as 8-bit values."""
    pixels = (image * 255).round().to(torch.uint8).contiguous()
    digest = hashlib.sha256(f"{tuple(image.shape)}".encode())
    digest.update(pixels.numpy().data)
    return int.from_bytes(digest.digest()[:7], "big") / 2**56


def tensor_digest(*tensors: Tensor | None) -> str:
    """Return the sha256 of shapes, dtypes and bytes, for data without a digest of files."""
    digest = hashlib.sha256()
    for tensor in tensors:
        if tensor is not None:
            digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def variant_name(dataset: Dataset, start: str, *names: str) -> str:
    """Return ``start`` and those named parameters that differ from their defaults."""
    defaults = {f.name: f.default for f in fields(dataset)}  # type: ignore[arg-type]
    other = [
        f"{name}{getattr(dataset, name)}"
        for name in names
        if getattr(dataset, name) != defaults[name]
    ]
    return "-".join([start, *other])


def sized_variant(dataset: Dataset) -> str:
    """Return the size and all parameters that differ from their defaults, with their values."""
    names = [f.name for f in fields(dataset)]  # type: ignore[arg-type]
    names.remove("size")
    return variant_name(dataset, str(dataset.size), *names)  # type: ignore[attr-defined]
