"""MNIST and its likes: the IDX format, 28x28 padded to 32x32, the split from the training set."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from otbench.errors import DataError
from otbench.interface import Split

# Images held back from the end of the training set.
VALIDATION = 5_000


def read_idx(path: Path) -> Tensor:
    """Read a file of unsigned bytes in the IDX format.

    The header: two zero bytes, the type (8: unsigned byte), the number of dimensions, then each
    size as a big-endian 32-bit integer (described on the MNIST home page).

    Returns
    -------
    Tensor, uint8
        Of the shape that the header gives.

    Raises
    ------
    DataError
        If the header or the length is wrong.
    """
    content = np.fromfile(path, dtype=np.uint8)
    ndim = int(content[3]) if len(content) >= 4 else 0
    start = 4 + 4 * ndim
    if bytes(content[:3]) != b"\0\0\x08" or len(content) < start:
        raise DataError(f"{path} is no IDX file of unsigned bytes")
    shape = struct.unpack(f">{ndim}I", content[4:start].tobytes())
    if len(content) - start != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path} should hold {shape} bytes but has {len(content) - start:,}")
    return torch.from_numpy(content[start:]).view(shape)


def to_images(pixels: Tensor, binarize: bool = False) -> Tensor:
    """Turn bytes (n, 28, 28) into float32 (n, 1, 32, 32) in [0, 1], with 2 pixels of zeros around.

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
    """Read images and labels, for instance of ``train-images-idx3-ubyte`` with prefix ``train-``.

    Raises
    ------
    DataError
        If a file is broken or the two do not match.
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
