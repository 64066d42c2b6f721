"""Cartoon Set: drawn faces with their attributes, from a folder of the user's."""

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
"""The attribute that labels the images unless another is named. Every cartoon shows its skin, at
32x32 pixels too, and there are few colours of it; glasses are a few pixels there, and hair has 111
shapes."""


@dataclass
class CartoonSet(UserImages):
    """Google's Cartoon Set, 10,000 or 100,000 faces (Royer et al. 2017), labelled by an attribute.

    ``path`` holds the images ``cs*.png`` (500x500), there or in sub-folders (0 to 9 in the larger
    set), each with a file of the same name that ends in ``.csv``: lines of an attribute, the number
    of its variant from 0, and how many variants it has. Transparent pixels become white. The last
    tenth of the files, in the order of their paths, is the test and the tenth before it validation;
    names are digests of the attributes, so that this order is as good as random.

    All images are in memory: 100,000 of them take 4.9 GB at 64x64, 1.2 GB at 32x32, 20 GB at
    128x128; ``limit`` bounds it.
    """

    attribute: str = parameter(ATTRIBUTE, "the attribute whose variants are the labels")

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
    """Read the attributes of one image: for each the number of its variant, and of how many.

    Raises
    ------
    DataError
        If the file is missing or a line is something else.
    """
    if not file.is_file():
        raise DataError(
            f"{file} is missing: each image of Cartoon Set needs its .csv beside it; unpack the "
            "whole archive"
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
                f"{file}, line {lines.line_num}: wanted an attribute, its variant from 0, and how "
                f'many there are, such as "face_shape", 4, 7; got {", ".join(fields)[:80]!r}'
            )
        attributes[fields[0].strip()] = numbers[0], numbers[1]


def read_labels(images: list[Path], attribute: str) -> tuple[Tensor, int]:
    """Read the variants of one attribute, shape (n,), int64, and how many there are.

    Raises
    ------
    UsageError
        If there is no such attribute.
    DataError
        If a file is missing or malformed, or two disagree on the number of variants.
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
