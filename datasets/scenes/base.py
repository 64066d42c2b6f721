"""Base of the drawn scenes: the side of their images, and the construction of the data set."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

from otbench.interface import ImageDataset, Scene, Split, parameter
from otbench_datasets.splits import tensor_digest


def scene_side() -> int:
    """Declare the side of a scene's images.

    It is a multiple of 8, because networks halve it three times, and at least 16 pixels, because
    smaller images do not show the shapes.
    """
    side: int = parameter(
        32,
        "side of the images in pixels, a multiple of 8 from 16 to 256",
        "Feng & Strohmer, 7.1",
        low=16,
        high=256,
        multiple_of=8,
    )
    return side


def build_scene(
    name: str,
    images: Tensor,
    scene: Scene,
    *,
    pairs: tuple[Tensor, Tensor] | None = None,
    obstacles: Tensor | None = None,
    held_out: tuple[Split, Split] | None = None,
) -> ImageDataset:
    """Build a data set from a few drawn images, each split of which contains all images.

    Parameters
    ----------
    name : str
    images : Tensor, shape (n, c, h, w)
        float32 in [0, 1].
    scene : Scene
    pairs : tuple of Tensor, optional
        Default: all pairs of two images, in their order.
    obstacles : Tensor, shape (h, w), bool, optional
    held_out : tuple of Split, optional
        Validation and test splits, if they differ from the training split.
    """
    shown = Split(images)
    validation, test = held_out or (shown, shown)
    starts, ends = pairs or every_two(images)
    return ImageDataset(
        name,
        "drawn",
        shown,
        validation,
        test,
        sha256=tensor_digest(images, validation.images, test.images, starts, ends, obstacles),
        pairs=(starts, ends),
        obstacles=obstacles,
        scene=scene,
    )


def every_two(stack: Tensor) -> tuple[Tensor, Tensor]:
    """Return all pairs of rows in lexicographic order, for instance 6 pairs of 4 rows."""
    first, second = torch.tensor(list(combinations(range(len(stack)), 2))).T
    return stack[first], stack[second]


def translation(
    draw: Callable[[Tensor], Tensor], starts: Tensor, ends: Tensor
) -> Callable[[Tensor], Tensor]:
    """Return the geodesics of a translated shape, which are straight lines at constant speed.

    Parameters
    ----------
    draw : callable
        Maps positions (..., 2) to images (..., c, h, w).
    starts, ends : Tensor, shape (p, 2)

    Returns
    -------
    callable
        Maps times (k,) to frames (p, k, c, h, w) on the same device.
    """

    def geodesic(times: Tensor) -> Tensor:
        t = times.double().view(1, -1, 1)
        a, b = (place.to(times.device).unsqueeze(1) for place in (starts, ends))
        return draw((1 - t) * a + t * b)

    return geodesic
