"""Any folder of images."""

from __future__ import annotations

import os
import warnings
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
    size: int = parameter(32, "side of the images in pixels", "the matched backbone's")
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
        images = self._read(files)
        labels = None
        if classes:
            index = {name: i for i, name in enumerate(classes)}
            labels = torch.tensor([index[file.relative_to(root).parts[0]] for file in files])
        splits = stratified(images, labels)
        if not all(len(split) for split in splits):
            raise DataError(
                f"{root} holds too few images ({len(files)}, the first is {files[0].name}): "
                "training, validation and test need one each, so at least three in one folder"
            )
        return ImageDataset(
            "folder",
            f"{root.resolve().name}-{self.size}{'-gray' if self.gray else ''}",
            *splits,
            sha256=tensor_digest(images, labels),
            classes=len(classes) or None,
        )

    def _read(self, files: list[Path]) -> Tensor:
        images = torch.empty(0)
        for i, file in enumerate(files):
            image = read_image(file, self.size, self.gray)
            if i == 0:
                images = torch.empty(len(files), *image.shape)
            if image.shape != images.shape[1:]:
                raise DataError(
                    f"{file} has {len(image)} channel(s), but {files[0]} has {images.shape[1]}: "
                    "give all the same, or set gray=true"
                )
            images[i] = image
        return images


def list_images(root: Path) -> tuple[list[Path], list[str]]:
    """Return the image files below a folder, sorted, and the names of the classes.

    Raises
    ------
    DataError
        If there is no such folder or no image in it; if images lie both in the folder and in
        sub-folders; if the sub-folders are splits.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder")
    files = []
    for place, folders, names in os.walk(root, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            Path(place, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    if not files:
        raise DataError(f"{root} holds no image ({', '.join(sorted(SUFFIXES))})")
    files.sort(key=lambda file: file.relative_to(root).parts)
    loose = [file for file in files if file.parent == root]
    classes = sorted({file.relative_to(root).parts[0] for file in files if file not in set(loose)})
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


def read_image(file: Path, size: int, gray: bool) -> Tensor:
    """Read one image as float32 (c, size, size) in [0, 1], with one channel or three.

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
                return _to_tensor(image, size, gray)
    # Pillow's readers raise many kinds of errors on broken files; each of them means the same here.
    except Exception as error:
        raise DataError(f"{file} is broken or no image: {error}") from error


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
