"""CelebA: photographs of faces, read from a folder of the user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from otbench.errors import DataError
from otbench.interface import ImageDataset
from otbench_datasets.images.folder import walk
from otbench_datasets.images.user_images import Parts, UserImages, by_index, capped, read_text
from otbench_datasets.splits import variant_name

IMAGES = "img_align_celeba"
PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv")
"""Names of the partition file in the release and in its best-known copy."""

HEADER = ["image_id", "partition"]
SPLITS = ("training", "validation", "test")


@dataclass
class CelebA(UserImages):
    """CelebA's 202,599 aligned faces (Liu, Luo, Wang, Tang 2015), without labels.

    ``path`` contains the JPEG files (178x218) or their folder ``img_align_celeba``. The central
    square (178x178) is resized by `read_picture`; images of other sizes are treated in the same
    way. Splits are those of ``list_eval_partition.txt``, which is searched for next to the images,
    in ``path`` and next to ``path``. Without such a file, the last tenth of the names is the test
    split and the tenth before it the validation split, and the variant ends in ``unpartitioned``.

    All images are held in memory: 2.5 GB at 32x32, 10 GB at 64x64 (202,599 images of 3x64x64 values
    of 4 bytes) and 40 GB at 128x128. ``limit`` reduces this: 10,000 images at 64x64 take 0.5 GB.
    """

    title: ClassVar[str] = "CelebA, photographs of faces (your folder)"
    name: ClassVar[str] = "celeba"
    release: ClassVar[str] = f"CelebA's aligned JPEG images, or its folder {IMAGES}"

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        root = self.root()
        inner = root / IMAGES
        start = inner if inner.is_dir() else root
        files = walk(start, lambda name: Path(name).suffix.lower() in (".jpg", ".jpeg"))
        if not files:
            raise self.nothing(start)
        variant = variant_name(self, str(self.size), "limit")
        table = find_partition(files[0].parent, start, root, root.parent)
        if table is None:
            parts, variant = by_index(start, files), f"{variant}-unpartitioned"
        else:
            parts = by_partition(files, table)
        return self.assembled(variant, capped(parts, self.limit))


def find_partition(*places: Path) -> Path | None:
    """Return the first partition file found in these folders, or None."""
    found = (place / name for place in places for name in PARTITIONS)
    return next((file for file in found if file.is_file()), None)


def read_partition(file: Path) -> dict[str, int]:
    """Read the split of each image: 0 training, 1 validation, 2 test.

    Raises
    ------
    DataError
        If a line is not the name of an image followed by one of these numbers.
    """
    partition = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        fields = line.replace(",", " ").split()
        if not fields or (number == 1 and fields == HEADER):
            continue
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise DataError(
                f"{file}, line {number}: wanted the name of an image and 0 (training), "
                f"1 (validation) or 2 (test), got {line[:80]!r}"
            )
        partition[fields[0]] = int(fields[1])
    return partition


def by_partition(files: list[Path], table: Path) -> Parts:
    """Split files by the partition file; each split keeps the order of the files.

    Raises
    ------
    DataError
        If a file is not listed, or a split is empty.
    """
    partition = read_partition(table)
    unknown = [file for file in files if file.name not in partition]
    if unknown:
        raise DataError(
            f"{table} does not say which split {unknown[0].name} belongs to ({len(unknown)} of "
            f"{len(files)} images are missing there): use the release's complete file, or "
            "remove it to split by index"
        )
    train, validation, test = (
        [file for file in files if partition[file.name] == turn] for turn in range(3)
    )
    for name, part in zip(SPLITS, (train, validation, test), strict=True):
        if not part:
            raise DataError(
                f"{table} leaves no {name} image among the {len(files)} in {files[0].parent}: "
                "add some, or remove the file to split by index"
            )
    return train, validation, test
