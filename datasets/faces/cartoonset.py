"""Cartoon Set: drawn faces with attributes, read from a folder of the user."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from otbench.errors import DataError, UsageError
from otbench.interface import ImageDataset, parameter
from otbench_datasets.images.folder import walk
from otbench_datasets.images.user_images import UserImages, by_index, capped, read_text
from otbench_datasets.splits import variant_name

ATTRIBUTE = "face_color"
"""Default attribute of the labels. Every cartoon shows skin, even at 32x32 pixels, and skin has few
colours; glasses are only a few pixels at that size, and hair has 111 shapes."""


@dataclass
class CartoonSet(UserImages):
    """Google's Cartoon Set, 10,000 or 100,000 faces (Royer et al. 2017) labelled by an attribute.

    ``path`` contains the images ``cs*.png`` (500x500), directly or in sub-folders (0 to 9 in the
    larger set). Each image has a file of the same name ending in ``.csv``, whose lines give an
    attribute, the index of its variant (from 0) and the number of variants. Transparent pixels
    become white. In the order of paths, the last tenth of the files is the test split and the tenth
    before it the validation split; file names are digests of the attributes, so this order is
    effectively random.

    All images are held in memory: 100,000 images take 1.2 GB at 32x32, 4.9 GB at 64x64 and 20 GB at
    128x128; ``limit`` reduces this.
    """

    attribute: str = parameter(ATTRIBUTE, "attribute whose variants are the labels")

    title: ClassVar[str] = "Cartoon Set, drawn faces with attributes (your folder)"
    name: ClassVar[str] = "cartoonset"
    release: ClassVar[str] = "Cartoon Set's cs*.png, each beside its .csv, or its sub-folders"

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        root = self.root()
        files = walk(root, lambda name: name.startswith("cs") and name.lower().endswith(".png"))
        if not files:
            raise self.nothing(root)
        parts = capped(by_index(root, files), self.limit)
        labels, classes = read_labels([file for part in parts for file in part], self.attribute)
        variant = variant_name(self, str(self.size), "limit", "attribute")
        return self.assembled(variant, parts, labels, classes, on_white=True)


def read_attributes(file: Path) -> dict[str, tuple[int, int]]:
    """Read one image's attributes: for each, the index of its variant and the number of variants.

    Raises
    ------
    DataError
        If the file is missing or a line has another form.
    """
    if not file.is_file():
        raise DataError(
            f"{file} is missing: each image of Cartoon Set needs its .csv file next to it; unpack "
            "the whole archive"
        )
    attributes: dict[str, tuple[int, int]] = {}
    lines = csv.reader(read_text(file).splitlines(), skipinitialspace=True)
    while True:
        try:
            fields = next(lines, None)
        except csv.Error as error:
            raise DataError(f"{file}, line {lines.line_num}: {error}") from error
        if fields is None:
            return attributes
        if not fields:
            continue
        numbers = [int(f) for f in fields[1:] if re.fullmatch(r" *[0-9]{1,6} *", f)]
        if len(fields) != 3 or len(numbers) != 2 or numbers[0] >= numbers[1]:
            raise DataError(
                f"{file}, line {lines.line_num}: wanted an attribute, its variant from 0, and the "
                f'number of variants, such as "face_shape", 4, 7; got {", ".join(fields)[:80]!r}'
            )
        attributes[fields[0].strip()] = numbers[0], numbers[1]


def read_labels(images: list[Path], attribute: str) -> tuple[Tensor, int]:
    """Read the variants of one attribute, shape (n,), int64, and the number of variants.

    Raises
    ------
    UsageError
        If the attribute does not exist.
    DataError
        If a file is missing or malformed, or if files disagree on the number of variants.
    """
    labels, classes = [], 0
    for image in images:
        file = image.with_suffix(".csv")
        attributes = read_attributes(file)
        if attribute not in attributes:
            raise UsageError(
                f"{file} has no attribute {attribute!r}, but {', '.join(attributes) or 'none'}"
            )
        variant, count = attributes[attribute]
        if classes and count != classes:
            raise DataError(
                f"{file} counts {count} variants of {attribute}, but the files before it {classes}"
            )
        classes = count
        labels.append(variant)
    return torch.tensor(labels), classes
