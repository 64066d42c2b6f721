"""Any folder of images."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from otbench.errors import DataError, DataWarning, UsageError
from otbench.interface import Dataset, ImageDataset, parameter
from otbench_datasets.images.pictures import SUFFIXES, read_pictures
from otbench_datasets.splits import by_digest, tensor_digest

if TYPE_CHECKING:
    pass

# Sub-folders with these names are splits, not classes.
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}


@dataclass
class Folder(Dataset):
    """The images below a folder; each sub-folder is a class, and without any there are no labels.

    Images are cropped to the largest central square and resized to ``size``; see `read_picture` for
    the accepted kinds of files. Files are read in the order of their paths and split by the digest
    of their pixels (`by_digest`). Symbolic links to folders are followed. One warning lists the
    files that were left out.
    """

    path: str = parameter("", "folder with the images; required")
    size: int = parameter(32, "side of the images in pixels", "the matched backbone's", low=1)
    gray: bool = parameter(False, "convert colour to gray")

    title: ClassVar[str] = "an image folder of your own: folder:PATH"

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        if not self.path:
            raise UsageError("folder needs a path: select the data set as folder:PATH")
        if self.size < 1:
            raise UsageError(
                f"size is the side of the images in pixels: it must be at least 1, got {self.size}"
            )
        root = Path(self.path).expanduser()
        files, others = contents(root)
        classes = classes_of(root, files)
        if reason := left_out(root, files, others):
            warnings.warn(reason, DataWarning, stacklevel=2)
        images = read_pictures(files, self.size, "set gray=true", gray=self.gray)
        labels = None
        if classes:
            index = {name: i for i, name in enumerate(classes)}
            labels = torch.tensor([index[file.relative_to(root).parts[0]] for file in files])
        splits = by_digest(images, labels)
        if not all(len(split) for split in splits):
            raise too_few(root, files)
        return ImageDataset(
            "folder",
            f"{root.resolve().name}-{self.size}{'-gray' if self.gray else ''}",
            *splits,
            sha256=tensor_digest(images, labels),
            classes=len(classes) or None,
        )


def too_few(root: Path, files: list[Path]) -> DataError:
    """Return the error for a folder whose images do not fill three splits."""
    return DataError(
        f"{root} contains too few images ({len(files)}, the first is {files[0].name}): "
        "training, validation and test need one each, so at least three in one folder"
    )


def walk(root: Path, accept: Callable[[str], bool]) -> list[Path]:
    """Return the sorted files below a folder whose names are accepted, without hidden files.

    Raises
    ------
    DataError
        If the folder does not exist or a part of it cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    files: list[Path] = []
    seen = {root.resolve()}
    for place, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        visible = {n: Path(place, n).resolve() for n in folders if not n.startswith(".")}
        # A link to a parent folder would cause an endless loop.
        folders[:] = [name for name, resolved in visible.items() if resolved not in seen]
        seen.update(visible.values())
        files += [Path(place, name) for name in names if name[0] != "." and accept(name)]
    return sorted(files, key=lambda file: file.relative_to(root).parts)


def contents(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the files below a folder with a picture's suffix, and all other files, both sorted.

    Raises
    ------
    DataError
        See `walk`.
    """
    parts: tuple[list[Path], list[Path]] = ([], [])
    for file in walk(root, lambda name: True):
        parts[file.suffix.lower() not in SUFFIXES].append(file)
    return parts


def left_out(root: Path, files: list[Path], others: list[Path]) -> str | None:
    """Describe the files of a folder that are not pictures in one line; None if there are none.

    Hidden files and hidden folders are ignored.
    """
    used = {file.relative_to(root).parts[0] for file in files}
    empty = sorted(
        folder.name
        for folder in root.iterdir()
        if folder.is_dir() and folder.name[0] != "." and folder.name not in used
    )
    parts = []
    if others:
        kinds = Counter(file.suffix.lower() or "no suffix" for file in others)
        listed = ", ".join(f"{suffix} {n}" for suffix, n in sorted(kinds.items()))
        parts.append(f"{len(others)} files that are not pictures ({listed})")
    if empty:
        parts.append(f"folders without pictures ({', '.join(empty)})")
    return f"{root}: left out {' and '.join(parts)}" if parts else None


def list_images(root: Path) -> tuple[list[Path], list[str]]:
    """Return the sorted image files below a folder and the names of the classes.

    Raises
    ------
    DataError
        If the folder does not exist; see also `classes_of`.
    """
    files, _ = contents(root)
    return files, classes_of(root, files)


def classes_of(root: Path, files: list[Path]) -> list[str]:
    """Return the names of the sub-folders that contain images; each is a class.

    Raises
    ------
    DataError
        If there is no image, if images are both in the folder and in sub-folders, or if the
        sub-folders are splits.
    """
    if not files:
        raise DataError(f"{root} contains no image ({', '.join(sorted(SUFFIXES))})")
    loose = [file for file in files if file.parent == root]
    classes = sorted({file.relative_to(root).parts[0] for file in files if file.parent != root})
    if loose and classes:
        raise DataError(
            f"{loose[0]} is next to the sub-folder {classes[0]}, so its class is unclear"
        )
    if classes and {name.lower() for name in classes} <= SPLITS:
        raise DataError(
            f"the sub-folders of {root} ({', '.join(classes)}) are splits, not classes: choose one "
            f"of them, for instance folder:{root / classes[0]}"
        )
    return classes


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error
