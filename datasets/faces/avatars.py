"""Avatars: faces in artists' styles, composed by DiceBear from exact attributes."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.resources
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from otbench.assets import store
from otbench.assets.kept import read_or_made, write_whole
from otbench.assets.progress import SECONDS_BETWEEN_LINES, say
from otbench.errors import UsageError
from otbench.extras import missing_from
from otbench.interface import ImageDataset, parameter
from otbench_datasets.definitions import definition_digest
from otbench_datasets.faces.avatar_styles import STYLES, Options, avatar_options
from otbench_datasets.faces.base import FaceImages
from otbench_datasets.faces.factors import Factors, draw_factors

VERSION = 1
"""Version of the drawing code, raised whenever the same options give different pixels."""

DRAWN = 128
"""Pixels along a side at which avatars are drawn before they are averaged down."""

PART = 256
"""Number of avatars drawn together."""

PACKAGES = ("dicebear-core", "dicebear-styles", "resvg_py")

DEFAULT_STYLE = "toon-head"


def missing_extra() -> str | None:
    """Return why avatars cannot be drawn, or None if they can."""
    return missing_from("avatars")


def check_extra() -> None:
    """Raise a UsageError if the optional dependencies are missing."""
    if reason := missing_extra():
        raise UsageError(f"avatars: {reason}")


@functools.cache
def load_style(name: str) -> Any:
    """Return one of DiceBear's styles, a `dicebear.Style`, from its package without downloading.

    Raises
    ------
    UsageError
        If the optional dependencies are missing.
    """
    check_extra()
    import dicebear

    definition = importlib.resources.files("dicebear_styles").joinpath(f"{name}.json")
    return dicebear.Style.from_json(definition.read_text("utf-8"))


def rendered(svg: str) -> Tensor:
    """Draw an opaque picture without text at 128x128, shape (3, 128, 128), uint8."""
    import PIL.Image
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=DRAWN, height=DRAWN, skip_system_fonts=True)
    with PIL.Image.open(io.BytesIO(png)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def draw_avatars(style: str, options: Sequence[Options], size: int) -> Tensor:
    """Draw antialiased avatars, in which each pixel averages a square of a drawing at 128x128.

    Parameters
    ----------
    style : str
        One of `STYLES`.
    options : sequence of Options
        Options of each avatar.
    size : int
        Pixels along a side, a divisor of 128.

    Returns
    -------
    Tensor, shape (n, 3, size, size)
        uint8.

    Raises
    ------
    UsageError
        If the optional dependencies are missing.
    """
    drawing = load_style(style)
    from dicebear import Avatar

    say(f"avatars: drawing {len(options):,} once ({drawing.meta().license().text()})")
    images = torch.empty(len(options), 3, size, size, dtype=torch.uint8)
    last = time.monotonic()
    for start in range(0, len(options), PART):
        part = options[start : start + PART]
        large = torch.stack([rendered(Avatar(drawing, one).to_string()) for one in part])
        small = functional.avg_pool2d(large.float(), DRAWN // size).round_()
        images[start : start + len(part)] = small.to(torch.uint8)
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"avatars: {start + len(part):,} of {len(options):,}")
    return images


def file_of(style: str, options: Sequence[Options], size: int) -> Path:
    """Return the cache file of some avatars, named by everything that determines their pixels."""
    digest = definition_digest(
        "avatars",
        VERSION,
        style=style,
        size=size,
        options=list(options),
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
    )
    name = f"{style}-{size}-{len(options)}-{digest[:32]}.safetensors"
    return store.home() / "avatars" / name


def kept_or_drawn(style: str, options: Sequence[Options], size: int) -> Tensor:
    """Read avatars from the cache folder, or draw and store them; see `draw_avatars`."""
    check_extra()

    def read(path: Path) -> Tensor:
        images = load_file(path)["images"]
        if images.shape != (len(options), 3, size, size) or images.dtype != torch.uint8:
            raise ValueError(f"{images.dtype} of shape {tuple(images.shape)}")
        return images

    return read_or_made(
        file_of(style, options, size),
        "the set of avatars",
        read,
        lambda: draw_avatars(style, options, size),
        lambda path, images: write_whole(path, {"images": images}),
    )


@dataclass
class Avatars(FaceImages):
    """Faces in one of DiceBear's styles, drawn offline from exact attributes (extra ``avatars``).

    Styles: ``toon-head`` (a remix of ToonHead by Johan Melin, CC BY 4.0), ``personas`` (a remix of
    Personas by Draftbit - draftbit.com, CC BY 4.0), ``pixel-art`` (Pixel Art by DiceBear, CC0 1.0).
    Publications of pictures in a CC BY style must credit its author.

    Each face is described by the factors of the suite's own faces (`Factors`). They are drawn from
    the seed and passed to DiceBear as options (`avatar_styles`), so labels are exact. The numbers
    of levels are: background 4, skin 5, hair style 4, hair colour 5, eyes 3, mouth 3 and glasses 2.
    Colours are those of the suite's own faces. ``toon-head`` has no glasses, and its "curly" hair
    is spiky. Clothes, their colour, and brows or nose vary as well but have no label. All
    attributes are independent and their levels equally likely. Modes combine hair style, mouth and
    glasses; in ``toon-head`` they combine hair style, mouth and whether the eyes are closed in a
    smile, as in one face of three.

    The first load draws the avatars, which takes about 11 ms each (78 s for 7,000 on one shared
    core). They are stored in the cache folder, in a file named by everything that determines them.
    """

    labels: str = parameter(
        "hair",
        "label of the images: hair (style, 4 classes) or mode (24 classes, see above)",
        choices=("hair", "mode"),
    )
    train: int = parameter(5_000, "training images", low=1)
    test: int = parameter(1_000, "test images", low=1)
    style: str = parameter(
        DEFAULT_STYLE,
        "style of the avatars: toon-head, personas or pixel-art",
        choices=tuple(STYLES),
    )

    title: ClassVar[str] = "Avatars in DiceBear's styles, drawn from exact attributes"
    name: ClassVar[str] = "avatars"

    @property
    def trait(self) -> str:
        """The trait that distinguishes the style's modes in addition to hair and mouth."""
        return STYLES[self.style].trait

    def drawn(self) -> tuple[Factors, list[Options]]:
        """Draw the factors and options of all faces: training, validation, test."""
        generator = torch.Generator().manual_seed(self.seed)
        factors = draw_factors(self.train + self.validation + self.test, generator)
        return factors, list(avatar_options(STYLES[self.style], factors, generator))

    def load(self) -> ImageDataset:
        """Read the images, or draw them; see `otbench.interface.Dataset.load`.

        Raises
        ------
        UsageError
            If the optional dependencies are missing.
        """
        factors, options = self.drawn()
        return self.dataset(kept_or_drawn(self.style, options, self.size).float() / 255, factors)
