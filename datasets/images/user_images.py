"""Base of large image sets in a folder of the user: splits by index, a limit, reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from otbench.errors import DataError, UsageError
from otbench.files import read_bounded
from otbench.interface import Dataset, ImageDataset, Split, parameter
from otbench_datasets.images.folder import too_few
from otbench_datasets.images.pictures import read_pictures
from otbench_datasets.splits import tensor_digest

SIZES = (32, 64, 128)

MOST_TEXT = 64 << 20
"""Bytes of a text file; CelebA's partition has 5 MB."""

Parts = tuple[list[Path], list[Path], list[Path]]
"""Files of the training, validation and test splits."""


def by_index(root: Path, files: list[Path]) -> Parts:
    """Use the last tenth of the files as test split and the tenth before it as validation split.

    The test split is that of the release of Korotin et al. 2022, which has no validation split.

    Raises
    ------
    DataError
        If there are fewer than three files.
    """
    if len(files) < 3:
        raise too_few(root, files)
    tenth = max(1, len(files) // 10)
    return files[: -2 * tenth], files[-2 * tenth : -tenth], files[-tenth:]


def capped(parts: Parts, limit: int) -> Parts:
    """Keep the first files of each split, in proportion, at most ``limit`` in total; 0 keeps all.

    Splits are made first, so an image stays in its split for every limit.
    """
    total = sum(map(len, parts))
    if not limit or limit >= total:
        return parts
    counts = [max(1, limit * len(part) // total) for part in parts]
    counts[max(range(3), key=lambda i: len(parts[i]))] += limit - sum(counts)
    train, validation, test = (part[:n] for part, n in zip(parts, counts, strict=True))
    return train, validation, test


def read_text(file: Path) -> str:
    """Read a text file; bytes that are not UTF-8 are replaced by replacement characters.

    Raises
    ------
    DataError
        If the file is missing, cannot be read, or is larger than `MOST_TEXT` bytes.
    """
    try:
        return read_bounded(file, MOST_TEXT).decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def too_small(limit: int) -> Iterator[str]:
    """Yield a message if the limit is too small for three splits."""
    if limit in (1, 2):
        yield (
            "limit must be 0 (all images) or at least 3 (training, validation and test need one "
            f"each), got {limit}"
        )


@dataclass
class UserImages(Dataset):
    """Base of the data sets that are read from a folder of the user."""

    path: str = parameter("", "folder with the images; required")
    size: int = parameter(
        64, "pixels along a side: 32, 64 or 128", "Korotin et al. 2022: 64, 128", choices=SIZES
    )
    limit: int = parameter(
        0,
        "largest number of images to keep, the first of each split in proportion; 0 keeps all",
        low=0,
    )

    name: ClassVar[str]
    release: ClassVar[str]
    """Expected contents of the folder, for messages."""

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        yield from too_small(self.limit)

    def root(self) -> Path:
        """Return the folder.

        Raises
        ------
        UsageError
            If no folder is given.
        DataError
            If the folder does not exist.
        """
        if not self.path:
            raise UsageError(
                f"{self.name} is not downloaded by otbench: name the folder that contains "
                f"{self.release}, as {self.name}[path=PATH]"
            )
        root = Path(self.path).expanduser()
        if not root.is_dir():
            raise DataError(
                f"{self.name}: {root} is not a folder; it should contain {self.release}"
            )
        return root

    def nothing(self, root: Path) -> DataError:
        """Return the error for a folder without images."""
        return DataError(f"{self.name}: {root} contains none of {self.release}")

    def assembled(
        self,
        variant: str,
        parts: Parts,
        labels: Tensor | None = None,
        classes: int | None = None,
        on_white: bool = False,
    ) -> ImageDataset:
        """Read the files of the splits, with labels in the same order."""
        sizes = [len(part) for part in parts]
        images = read_pictures(
            [file for part in parts for file in part],
            self.size,
            "remove the gray images",
            on_white=on_white,
        )
        kinds = [None] * 3 if labels is None else labels.split(sizes)
        splits = map(Split, images.split(sizes), kinds)
        digest = tensor_digest(images, labels, torch.tensor(sizes))
        return ImageDataset(self.name, variant, *splits, sha256=digest, classes=classes)
