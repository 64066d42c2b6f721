"""Base of the tasks on paths: pairs, the frames a method draws, and the exact geodesics."""

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
"""How far paths are from the exact ones, and what carries mass wrongly."""

EVENNESS_METRICS = ("max-step", "adjacent-ssim[std]", "adjacent-ssim[mean,ends=data]")
"""How evenly paths move."""

THRESHOLD = 1e-3
"""Pixels at most this bright carry no mass in an exact geodesic: below one 8-bit gray level."""


def random_pairs(n: int, count: int, seed: int) -> Tensor:
    """Draw different unordered pairs of different items.

    Parameters
    ----------
    n : int
        Items; at least 2.
    count : int
        Pairs wanted; all n (n - 1) / 2 of them where that is fewer.
    seed : int

    Returns
    -------
    Tensor, shape (2, m), int64
        Either item may come first.
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
    """Say that a method draws no paths, or None where it does."""
    if isinstance(method, Interpolator):
        return None
    return f"needs interpolate: {type(method).__name__} draws no paths"


class PathTask(Task):
    """A task on paths that applies depending on the data alone."""

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Need an interpolator, too."""
        return missing_interpolation(method) or self.lacks(data)


def drawn_paths(
    method: Interpolator, x0: Tensor, x1: Tensor, times: Tensor, ctx: ScoreContext
) -> Tensor:
    """Interpolate in batches of about `ScoreContext.batch_size` frames, and check them.

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
        If the frames are of the wrong type, shape, dtype or range.
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
    """Draw McCann's geodesics between images by exact plans of their pixels, on the CPU.

    Each colour is a density of its own: masses are normalised for the plan, then the mass goes
    linearly in time; see `displacement_path`. A point between pixels is
    shared out among its four neighbours.

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
    """Return the exact geodesics of a scene's first n pairs: its own answer, else by plans.

    Returns
    -------
    Tensor, shape (n, k, c, h, w), float64
        On the device of ``x0``.

    Raises
    ------
    ValueError
        If the scene's own answer has another shape.
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
