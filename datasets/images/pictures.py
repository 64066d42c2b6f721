"""Reading of picture files, and conversion of their pixels to values in [0, 1].

A picture is read as a viewer shows it: its EXIF orientation is applied, and the first frame or page
is used if there are several. Pictures whose range of values is ambiguous are rejected with the
reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from otbench.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

GRAY = {"1": 1, "L": 255, "LA": 255, "I;16": 65535, "I;16L": 65535, "I;16B": 65535}
"""Pillow's modes of gray pictures, with the value of white."""

WIDE_GRAY = {"PNG": 65535, "PPM": 65535}
"""Formats that Pillow opens in mode I although they have 16 unsigned bits, with the value of
white."""

COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
"""Pillow's modes of colour pictures, all of 8 bits."""

ACCEPTED = "gray of 1, 8 or 16 unsigned bits, palettes, RGB, CMYK and YCbCr of 8 bits"

MOST_PIXELS = 64_000_000
"""Of one picture, which takes 600 MB while it is read. A file of a few bytes can promise more."""

SAMPLE_FORMAT, PHOTOMETRIC = 339, 262
"""TIFF tags."""

SIGNED_OR_FLOAT = {2: "signed integers", 3: "floating-point numbers", 4: "undefined samples"}
WHITE_IS_ZERO = 0


class Refused(ValueError):
    """The range of a picture's values is ambiguous."""


def read_picture(file: Path, size: int, gray: bool, on_white: bool = False) -> Tensor:
    """Read one picture, cropped to the largest central square and resized.

    Resizing is bilinear with Pillow's low-pass filter.

    Parameters
    ----------
    file : Path
    size : int
        Side of the result in pixels.
    gray : bool
        Convert colour to gray.
    on_white : bool
        Composite transparent pixels onto white; otherwise transparency is dropped.

    Returns
    -------
    Tensor, shape (c, size, size)
        float32 in [0, 1], with one channel or three.

    Raises
    ------
    DataError
        If the file is corrupt, of a kind that is not accepted, or so large that Pillow suspects a
        decompression bomb.
    """
    import PIL.Image
    import PIL.ImageOps

    if not file.is_file():
        # A pipe would be waited for.
        raise DataError(f"{file} is missing or no file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(file) as image:
                if (pixels := image.width * image.height) > MOST_PIXELS:
                    raise Refused(f"{pixels:,} pixels, {MOST_PIXELS:,} at most")
                image.load()
                white = _white(image)
                shown = PIL.ImageOps.exif_transpose(image)
                return _resized(_opaque(shown) if on_white else shown, white, size, gray)
    except PIL.Image.DecompressionBombWarning as reason:
        raise DataError(f"{file} holds too many pixels, {MOST_PIXELS:,} at most") from reason
    except Refused as reason:
        raise DataError(f"{file} has {reason}; accepted are {ACCEPTED}") from reason
    # Pillow's readers raise many kinds of errors for corrupt files; all mean the same here.
    except Exception as error:
        raise DataError(f"{file} is corrupt or not an image: {error}") from error


def _white(image: Image) -> int:
    """Return the value of white.

    Raises
    ------
    Refused
        If the kind of picture does not determine it.
    """
    tags = getattr(image, "tag_v2", {})
    samples = tags.get(SAMPLE_FORMAT, (1,))
    kind = samples[0] if isinstance(samples, tuple) else samples
    if kind in SIGNED_OR_FLOAT:
        raise Refused(f"pixels that are {SIGNED_OR_FLOAT[kind]}, whose range is unknown")
    if image.mode == "I" and image.format in WIDE_GRAY:
        return WIDE_GRAY[image.format]
    if image.mode in GRAY:
        if GRAY[image.mode] > 255 and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            raise Refused("16-bit pixels in which 0 is white")
        return GRAY[image.mode]
    if image.mode in COLOUR:
        return 255
    raise Refused(f"pixels of mode {image.mode}, whose range is unknown")


def _opaque(image: Image) -> Image:
    import PIL.Image

    if not image.has_transparency_data:
        return image
    white = PIL.Image.new("RGBA", image.size, "white")
    return PIL.Image.alpha_composite(white, image.convert("RGBA"))


def _resized(image: Image, white: int, size: int, gray: bool) -> Tensor:
    import PIL.Image

    planes: Iterator[Image]
    if white > 255:
        # Pillow's own conversion clips 16-bit values at 255 instead of scaling them.
        planes = iter([PIL.Image.fromarray(np.asarray(image).astype(np.float32) / white)])
        scale = 1.0
    else:
        is_gray = gray or image.mode in GRAY
        plain = image.convert("L" if is_gray else "RGB")
        planes = (plain.getchannel(band) for band in plain.getbands())
        scale = 255.0
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = (left, top, left + edge, top + edge)
    resized = []
    for plane in planes:
        # Crop first, because resize with a box also reads pixels outside the box.
        middle = plane.crop(square).convert("F")
        resized.append(np.array(middle.resize((size, size), PIL.Image.Resampling.BILINEAR)) / scale)
    return torch.from_numpy(np.stack(resized)).float().clamp(0, 1)


def read_pictures(
    files: list[Path], size: int, remedy: str, *, gray: bool = False, on_white: bool = False
) -> Tensor:
    """Read pictures of one kind, shape (n, c, size, size), float32 in [0, 1].

    Parameters
    ----------
    files : list of Path
    size : int
    remedy : str
        Remedy if some pictures are gray and others in colour, for the message.
    gray, on_white : bool
        See `read_picture`.

    Raises
    ------
    DataError
        If a file cannot be read or its number of channels differs from that of the first.
    """
    first = read_picture(files[0], size, gray, on_white)
    images = torch.empty(len(files), *first.shape)
    for i, file in enumerate(files):
        image = read_picture(file, size, gray, on_white) if i else first
        if image.shape != first.shape:
            raise DataError(
                f"{file} has {len(image)} channel(s), but {files[0]} has {len(first)}: "
                f"use the same number in all files, or {remedy}"
            )
        images[i] = image
    return images
