"""Base of MNIST and Fashion-MNIST: the IDX format, padding from 28x28 to 32x32, splits.

`IDXDataset` has the parameters that these data sets share.
"""

from __future__ import annotations

import math
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from otbench.errors import DataError, UsageError
from otbench.interface import Dataset, ImageDataset, Split, parameter

MOST_DIMENSIONS = 8
"""Largest number of dimensions of an array; the files have 1 and 3."""

# Images taken from the end of the training set for validation.
VALIDATION = 5_000


def read_idx(path: Path) -> Tensor:
    """Read a file of unsigned bytes in the IDX format.

    The header has two zero bytes, the type (8: unsigned byte), the number of dimensions, and each
    size as a big-endian 32-bit integer (described on the MNIST home page).

    Returns
    -------
    Tensor, uint8
        With the shape given by the header.

    Raises
    ------
    DataError
        If the file cannot be read, or the header or the length is wrong.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
            ndim = head[3] if len(head) == 4 else 0
            sizes = file.read(4 * ndim)
            if head[:3] != b"\0\0\x08" or len(sizes) < 4 * ndim or ndim > MOST_DIMENSIONS:
                raise DataError(f"{path} is not an IDX file of unsigned bytes")
            shape = struct.unpack(f">{ndim}I", sizes)
            # Checked before reading, because a header can promise more than there is memory.
            held = os.fstat(file.fileno()).st_size - file.tell()
            if held != math.prod(shape):
                raise DataError(f"{path} should have {shape} bytes of data but has {held:,}")
            return torch.from_numpy(np.fromfile(file, dtype=np.uint8)).view(shape)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def to_images(pixels: Tensor, binarize: bool = False) -> Tensor:
    """Convert bytes (n, 28, 28) to float32 (n, 1, 32, 32) in [0, 1], padded with zeros.

    Parameters
    ----------
    pixels : Tensor, uint8
    binarize : bool
        Set values above 0.5 to 1 and the others to 0.
    """
    images = torch.zeros(len(pixels), 1, 32, 32)
    inner = images[:, 0, 2:30, 2:30]
    if binarize:
        inner.copy_(pixels > 127)
    else:
        torch.div(pixels, 255, out=inner)
    return images


def read_pair(folder: Path, prefix: str, binarize: bool = False) -> Split:
    """Read images and labels, with prefix ``train-`` from ``train-images-idx3-ubyte`` and so on.

    Raises
    ------
    DataError
        If a file is corrupt or images and labels do not match.
    """
    pixels = read_idx(folder / f"{prefix}images-idx3-ubyte")
    labels = read_idx(folder / f"{prefix}labels-idx1-ubyte")
    if pixels.shape[1:] != (28, 28) or labels.shape != pixels.shape[:1]:
        raise DataError(
            f"{folder}: '{prefix}' has images {tuple(pixels.shape)} and labels "
            f"{tuple(labels.shape)} instead of (n, 28, 28) and (n,)"
        )
    return Split(to_images(pixels, binarize), labels.long())


def read_full(folder: Path, binarize: bool = False) -> tuple[Split, Split, Split]:
    """Read the 55,000 training, 5,000 validation and 10,000 test images.

    The validation images are the last 5,000 of the 60,000 training images.
    """
    whole = read_pair(folder, "train-", binarize)
    assert whole.labels is not None
    train = Split(whole.images[:-VALIDATION], whole.labels[:-VALIDATION])
    validation = Split(whole.images[-VALIDATION:], whole.labels[-VALIDATION:])
    return train, validation, read_pair(folder, "t10k-", binarize)


@dataclass
class IDXDataset(Dataset):
    """Base of MNIST and Fashion-MNIST: the parameters they share."""

    binarize: bool = parameter(
        False,
        "set pixels above 0.5 to 1 and the others to 0",
        "gray as in ACAI; the release of Feng & Strohmer 2024 binarises",
    )
    limit: int = parameter(
        0,
        "number of training images to keep, taking the next one of each class in turn; 0 keeps all",
        low=0,
    )
    pairs: str = parameter(
        "",
        "classes to interpolate between, such as 8-3+6-5, using the first unused test image of "
        "each; empty: random pairs",
    )

    def assembled(
        self, name: str, variant: str, splits: tuple[Split, Split, Split], sha256: str
    ) -> ImageDataset:
        """Apply the parameters to the splits.

        Raises
        ------
        UsageError
            If ``limit`` is 1, negative or larger than the training split, or ``pairs`` cannot be
            parsed.
        """
        train, validation, test = splits
        return ImageDataset(
            name,
            f"{variant}-binary" if self.binarize else variant,
            first_of_each(train, self.limit, name) if self.limit else train,
            validation,
            test,
            sha256=sha256,
            classes=10,
            pairs=pairs_of_classes(test, self.pairs, name) if self.pairs else None,
        )


def first_of_each(split: Split, n: int, name: str) -> Split:
    """Keep n images of a split: the first image of each class, then the second, and so on.

    Raises
    ------
    UsageError
        If n is less than 2 or larger than the split. The message begins with ``name``, the data
        set.
    """
    assert split.labels is not None
    if not 2 <= n <= len(split):
        raise UsageError(f"{name}: limit must be 0 or from 2 to {len(split)}, got {n}")
    rank = torch.empty_like(split.labels)
    for kind in split.labels.unique():
        rank[split.labels == kind] = torch.arange(int((split.labels == kind).sum()))
    order = torch.argsort(rank * (int(split.labels.max()) + 1) + split.labels)[:n]
    return Split(split.images[order], split.labels[order])


def pairs_of_classes(split: Split, text: str, name: str) -> tuple[Tensor, Tensor]:
    """Choose pairs of images by their classes.

    Parameters
    ----------
    split : Split
    text : str
        Pairs such as ``8-3+6-5``: from an 8 to a 3, and from a 6 to a 5.
    name : str
        Name of the data set, for messages.

    Returns
    -------
    tuple of Tensor
        Two stacks (p, c, h, w); each image is the first of its class that is not used by an earlier
        pair.

    Raises
    ------
    UsageError
        If the text cannot be parsed or a class has too few images.
    """
    assert split.labels is not None
    taken: dict[int, int] = {}
    chosen = []
    for part in text.split("+"):
        ends = part.split("-")
        if len(ends) != 2 or not all(re.fullmatch(r" *[0-9]{1,3} *", end) for end in ends):
            raise UsageError(f"{name}: pairs are written like 8-3+6-5, got {text[:80]!r}")
        for kind in map(int, ends):
            of_kind = (split.labels == kind).nonzero()[:, 0]
            turn = taken.get(kind, 0)
            if turn >= len(of_kind):
                raise UsageError(
                    f"{name}: pairs needs more images of class {kind} than the {len(of_kind)} in "
                    f"the test split"
                )
            taken[kind] = turn + 1
            chosen.append(int(of_kind[turn]))
    return split.images[chosen[0::2]], split.images[chosen[1::2]]
