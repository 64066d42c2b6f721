"""Any folder of images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.errors import DataError, UsageError
from otbench.interface import Dataset, ImageDataset, parameter
from otbench_datasets.splits import stratified, tensor_digest

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Sub-folders of these names are somebody's splits, not classes.
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
GRAY_MODES = {"1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "F"}


@dataclass
class Folder(Dataset):
    """The images below a folder; each of its sub-folders is a class, without any there are none.

    Images are cut to the largest square in the middle and resized (bilinear, with Pillow's
    low-pass filter) to ``size``; transparency is dropped, of moving pictures the first frame is
    taken. Files are read in the order of their paths and split by
    `otbench_datasets.splits.stratified`. Hidden files and those that do not end like an image are
    passed over.
    """

    path: str = parameter("", "the folder")
    size: int = parameter(32, "side of the images in pixels", "the matched backbone's", low=1)
    gray: bool = parameter(False, "turn colour into gray")

    title: ClassVar[str] = "an image folder of your own: folder:PATH"

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        if not self.path:
            raise UsageError("which folder? Select the data set as folder:PATH")
        if self.size < 1:
            raise UsageError(
                f"size is the side of the images in pixels, at least 1, not {self.size}"
            )
        root = Path(self.path).expanduser()
        files, classes = list_images(root)
        images = read_images(files, self.size, "set gray=true", gray=self.gray)
        labels = None
        if classes:
            index = {name: i for i, name in enumerate(classes)}
            labels = torch.tensor([index[file.relative_to(root).parts[0]] for file in files])
        splits = stratified(images, labels)
        if not all(len(split) for split in splits):
            raise too_few(root, files)
        return ImageDataset(
            "folder",
            f"{root.resolve().name}-{self.size}{'-gray' if self.gray else ''}",
            *splits,
            sha256=tensor_digest(images, labels),
            classes=len(classes) or None,
        )


def read_images(
    files: list[Path], size: int, remedy: str, *, gray: bool = False, on_white: bool = False
) -> Tensor:
    """Read images of one kind, shape (n, c, size, size), float32 in [0, 1].

    Parameters
    ----------
    files : list of Path
    size : int
    remedy : str
        What helps where some are gray and others in colour, for the message.
    gray, on_white : bool
        See `read_image`.

    Raises
    ------
    DataError
        If a file is broken or has another number of channels than the first.
    """
    first = read_image(files[0], size, gray, on_white)
    images = torch.empty(len(files), *first.shape)
    for i, file in enumerate(files):
        image = read_image(file, size, gray, on_white) if i else first
        if image.shape != first.shape:
            raise DataError(
                f"{file} has {len(image)} channel(s), but {files[0]} has {len(first)}: "
                f"give all the same, or {remedy}"
            )
        images[i] = image
    return images


def too_few(root: Path, files: list[Path]) -> DataError:
    """Return the error of a folder whose images do not fill three splits."""
    return DataError(
        f"{root} holds too few images ({len(files)}, the first is {files[0].name}): "
        "training, validation and test need one each, so at least three in one folder"
    )


def walk(root: Path, accept: Callable[[str], bool]) -> list[Path]:
    """Return the files below a folder whose names are accepted, sorted by path, hidden ones not.

    Raises
    ------
    DataError
        If there is no such folder, or a part of it cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder")
    files = []
    for place, folders, names in os.walk(root, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place, name) for name in names if name[0] != "." and accept(name)]
    return sorted(files, key=lambda file: file.relative_to(root).parts)


def list_images(root: Path) -> tuple[list[Path], list[str]]:
    """Return the image files below a folder, sorted, and the names of the classes.

    Raises
    ------
    DataError
        If there is no such folder or no image in it; if images lie both in the folder and in
        sub-folders; if the sub-folders are splits.
    """
    files = walk(root, lambda name: Path(name).suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{root} holds no image ({', '.join(sorted(SUFFIXES))})")
    loose = [file for file in files if file.parent == root]
    classes = sorted({file.relative_to(root).parts[0] for file in files if file.parent != root})
    if loose and classes:
        raise DataError(f"{loose[0]} lies beside the sub-folder {classes[0]}: which is its class?")
    if classes and {name.lower() for name in classes} <= SPLITS:
        raise DataError(
            f"the sub-folders of {root} ({', '.join(classes)}) are splits, not classes: choose one "
            f"of them, for instance folder:{root / classes[0]}"
        )
    return files, classes


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def read_image(file: Path, size: int, gray: bool, on_white: bool = False) -> Tensor:
    """Read one image as float32 (c, size, size) in [0, 1], with one channel or three.

    Parameters
    ----------
    file : Path
    size : int
    gray : bool
        Turn colour into gray.
    on_white : bool
        Lay what is transparent on white; otherwise transparency is dropped.

    Raises
    ------
    DataError
        If the file is broken, or so large that Pillow suspects an attack.
    """
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(file) as image:
                image.load()
                return _to_tensor(_opaque(image) if on_white else image, size, gray)
    # Pillow's readers raise many kinds of errors on broken files; each of them means the same here.
    except Exception as error:
        raise DataError(f"{file} is broken or no image: {error}") from error


def _opaque(image: Image) -> Image:
    import PIL.Image

    if not image.has_transparency_data:
        return image
    white = PIL.Image.new("RGBA", image.size, "white")
    return PIL.Image.alpha_composite(white, image.convert("RGBA"))


def _to_tensor(image: Image, size: int, gray: bool) -> Tensor:
    import PIL.Image

    if image.mode in GRAY_MODES or gray:
        if image.mode == "F":
            raise ValueError("floating-point pixels have no known range")
        if image.mode.startswith("I"):
            # Pillow cuts 16 bits off at 255 where it should scale.
            planes = [PIL.Image.fromarray(np.asarray(image).astype(np.float32) / 65535)]
        else:
            planes = [image.convert("L")]
    else:
        planes = list(image.convert("RGB").split())
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = (left, top, left + edge, top + edge)
    resized = []
    for plane in planes:
        scale = 1.0 if plane.mode == "F" else 255.0
        # Cut first: resize with a box looks beyond it.
        middle = plane.convert("F").crop(square)
        resized.append(np.array(middle.resize((size, size), PIL.Image.Resampling.BILINEAR)) / scale)
    return torch.from_numpy(np.stack(resized)).float().clamp(0, 1)
