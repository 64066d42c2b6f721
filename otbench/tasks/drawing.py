"""Helpers of the tasks on paths: pairs, a method's frames, and exact geodesics."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from otbench.interface.data import ImageDataset
from otbench.interface.method import Interpolator, Method
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import Task
from otbench.ot.discrete.displacement import colours_apart, displacement_path
from otbench.tasks.base import checked_images

GEODESIC_METRICS = (
    "geodesic-w2",
    "geodesic-w2[max]",
    "energy-gap",
    "energy-gap[ends=data]",
    "centroid-error",
    "compactness",
    "component-count",
    "peak-ratio",
    "mass-drift",
    "endpoint-error",
)
"""Metrics of the distance from the exact paths and of misplaced mass."""

EVENNESS_METRICS = ("max-step", "adjacent-ssim[std]", "adjacent-ssim[mean,ends=data]")
"""Metrics of how evenly paths move."""

THRESHOLD = 1e-3
"""Brightness up to which pixels carry no mass in an exact geodesic; less than one 8-bit level."""


def random_pairs(n: int, count: int, seed: int) -> Tensor:
    """Draw distinct unordered pairs of distinct items.

    Parameters
    ----------
    n : int
        Number of items, at least 2.
    count : int
        Number of pairs; all n (n - 1) / 2 pairs are returned if there are fewer.
    seed : int

    Returns
    -------
    Tensor, shape (2, m), int64
        The items of each pair, in random order.
    """
    generator = torch.Generator().manual_seed(seed)
    count = min(count, n * (n - 1) // 2)
    chosen: dict[frozenset[int], tuple[int, int]] = {}
    while len(chosen) < count:
        first, second = torch.randint(n, (2,), generator=generator).tolist()
        if first != second:
            chosen.setdefault(frozenset((first, second)), (first, second))
    return torch.tensor(list(chosen.values())).view(-1, 2).T


def missing_interpolation(method: Method) -> str | None:
    """Return the reason that a method cannot interpolate, or None if it can."""
    if isinstance(method, Interpolator):
        return None
    return f"needs interpolate: {type(method).__name__} draws no paths"


class PathTask(Task):
    """A task on paths, for any interpolator."""

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Require an interpolator, in addition to the conditions on the data."""
        return missing_interpolation(method) or self.lacks(data)


def drawn_paths(
    method: Interpolator, x0: Tensor, x1: Tensor, times: Tensor, ctx: ScoreContext
) -> Tensor:
    """Interpolate in batches of about `ScoreContext.batch_size` frames, and check the frames.

    Parameters
    ----------
    method : Interpolator
    x0, x1 : Tensor, shape (n, c, h, w)
    times : Tensor, shape (k,)
    ctx : ScoreContext

    Returns
    -------
    Tensor, shape (n, k, c, h, w)
        On the device of the context.

    Raises
    ------
    BadOutput
        If the frames have the wrong type, shape, dtype or range.
    """
    call = f"{type(method).__name__}.interpolate"
    size = max(1, ctx.batch_size // len(times))
    times = times.to(ctx.device)
    parts = []
    with torch.no_grad():
        for a, b in zip(x0.split(size), x1.split(size), strict=True):
            frames = method.interpolate(
                a.to(ctx.device).clone(), b.to(ctx.device).clone(), times.clone()
            )
            shape = (len(a), len(times), *a.shape[1:])
            parts.append(checked_images(frames, shape, call).to(ctx.device))
    return torch.cat(parts)


def exact_geodesics(x0: Tensor, x1: Tensor, times: Tensor) -> Tensor:
    """Draw McCann's geodesics between images from exact plans between their pixels, on the CPU.

    Each colour is a separate density. Masses are normalised for the plan, and the total mass
    changes linearly in time; see `displacement_path`. A point between pixels is distributed among
    its four neighbours.

    Parameters
    ----------
    x0, x1 : Tensor, shape (n, c, h, w)
    times : Tensor, shape (k,)

    Returns
    -------
    Tensor, shape (n, k, c, h, w), float64
        On the device of ``x0``; a pixel may exceed 1.
    """
    draw = partial(displacement_path, threshold=THRESHOLD)
    return colours_apart(draw, x0, x1, times).to(x0.device)


def scene_geodesics(data: ImageDataset, x0: Tensor, x1: Tensor, times: Tensor) -> Tensor:
    """Return the exact geodesics of a scene's first n pairs, from its solution or from plans.

    Returns
    -------
    Tensor, shape (n, k, c, h, w), float64
        On the device of ``x0``.

    Raises
    ------
    ValueError
        If the scene's own solution has another shape.
    """
    if data.scene is None or data.scene.geodesic is None:
        return exact_geodesics(x0, x1, times)
    known = data.scene.geodesic(times.cpu())[: len(x0)]
    wanted = (len(x0), len(times), *x0.shape[1:])
    if tuple(known.shape) != wanted:
        raise ValueError(
            f"the geodesic that {data.name} declares has shape {tuple(known.shape)}, "
            f"wanted {wanted}"
        )
    return known.double().to(x0.device)
