"""Images as masses, with each channel a separate density: quantities for transport metrics."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from otbench.interface.metric import Undefined, Value
from otbench.ot.discrete.displacement import exact_plan
from otbench.ot.dynamic.path_energy import image_energy

THRESHOLD = 1e-3
"""Brightness, as a fraction of the image's peak, up to which pixels are excluded from exact
plans."""

FLOOR = 1e-3
"""Added to each pixel before the energy of a path is computed; see `own_energy`."""


def plane_cost(a: Tensor, b: Tensor) -> float:
    """Return the squared 2-Wasserstein distance of two planes (h, w); see `squared_w2`."""
    first, last = (x.detach().double().clamp(min=0).cpu().numpy() for x in (a, b))
    return exact_plan(first / first.max(), last / last.max(), THRESHOLD).cost


def squared_w2(a: Tensor, b: Tensor) -> float:
    """Return the squared 2-Wasserstein distance of two images, in squared pixels.

    It is computed on the CPU by an exact plan between all pixels above `THRESHOLD` of the peak.
    Masses are normalised per channel, and channels are weighted by their mass in ``b``. If ``a`` is
    blank, it counts as the farthest possible image; see `farthest_cost`.

    Parameters
    ----------
    a, b : Tensor, shape (c, h, w)
        Non-negative up to rounding.

    Raises
    ------
    Undefined
        If ``b`` is blank.
    """
    total, mass = 0.0, 0.0
    for first, second in zip(a, b, strict=True):
        share = float(second.double().sum())
        if share <= 0:
            continue
        drawn = float(first.max()) > 0
        total += share * (plane_cost(first, second) if drawn else farthest_cost(second))
        mass += share
    if mass == 0:
        raise Undefined("a true image is blank: it has no mass to compare with")
    return total / mass


def farthest_cost(plane: Tensor) -> float:
    """Return the largest squared 2-Wasserstein distance of any image from a plane (h, w).

    The distance is convex in the image, so the farthest image is a single bright pixel, which lies
    in a corner.
    """
    plane = plane.detach().double().clamp(min=0)
    plane = plane * (plane > THRESHOLD * plane.max())
    height, width = plane.shape
    corners = [
        torch.zeros_like(plane).index_put_((torch.tensor(row), torch.tensor(column)), plane.sum())
        for row in (0, height - 1)
        for column in (0, width - 1)
    ]
    return max(plane_cost(corner, plane) for corner in corners)


def masses(images: Tensor) -> Tensor:
    """Return the mass of each channel, from (..., c, h, w) to (..., c), float64."""
    return images.double().sum((-2, -1))


def centroids(images: Tensor) -> Tensor:
    """Return the mean row and column of each channel's mass, (..., c, 2), float64.

    Parameters
    ----------
    images : Tensor, shape (..., c, h, w)

    Raises
    ------
    Undefined
        If a channel of an image is blank.
    """
    images = images.double()
    total = masses(images)
    if not (total > 0).all():
        raise Undefined("an image is blank in a colour: it has no centre of mass")
    rows, columns = (
        torch.arange(size, dtype=torch.float64, device=images.device) for size in images.shape[-2:]
    )
    down = images.sum(-1) @ rows
    right = images.sum(-2) @ columns
    return torch.stack([down, right], -1) / total.unsqueeze(-1)


def centroid_distances(images: Tensor, due: Tensor) -> Tensor:
    """Return the distance of each channel's centre of mass from its expected position, in pixels.

    Parameters
    ----------
    images : Tensor, shape (..., c, h, w)
        The centre of a blank channel counts as the corner farthest from the expected position.
    due : Tensor, shape (..., c, 2)
        Expected rows and columns.

    Returns
    -------
    Tensor, shape (..., c), float64
    """
    blank = masses(images) <= 0
    found = (centroids(images + blank[..., None, None]) - due).norm(dim=-1)
    last = torch.tensor(images.shape[-2:], dtype=due.dtype, device=due.device) - 1
    farthest = torch.maximum(due, last - due).norm(dim=-1)
    return torch.where(blank, farthest, found)


def colour_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Average values (..., c) over channels with weights (..., c), which must not all be 0."""
    return (values * weight).sum(-1) / weight.sum(-1)


def own_energy(frames: Tensor, floor: float, obstacles: Tensor | None = None) -> Tensor:
    r"""Return the balanced energy T J / M of each path and channel, with M the image's own mass.

    All frames of a path are scaled to the same mass. The floor lets mass move through empty pixels.
    It does not move itself, so it is included in J but not in M: a translation by d pixels scores d
    squared up to a few percent for every small floor.

    Parameters
    ----------
    frames : Tensor, shape (n, k, c, h, w)
        In [0, 1].
    floor : float
    obstacles : Tensor, shape (h, w), bool, optional

    Returns
    -------
    Tensor, shape (n, c), float64, squared pixels

    Raises
    ------
    Undefined
        If a path is blank in a channel.
    """
    n, _, colours, height, width = frames.shape
    single = frames.double().clamp(min=0).transpose(1, 2).reshape(n * colours, -1, 1, height, width)
    inside = single if obstacles is None else single.masked_fill(obstacles.to(single.device), 0)
    own = masses(inside).mean((1, 2))
    if not (own > 0).all():
        raise Undefined("a path is blank in a colour: it has no mass to move")
    free = height * width if obstacles is None else int((~obstacles).sum())
    with torch.no_grad():
        energy = image_energy(single, floor=floor, obstacles=obstacles)
    return (energy * (own + floor * free) / own).view(n, colours)


def energy_over(
    cost: Callable[[Tensor, Tensor], float],
    x0: Tensor,
    x1: Tensor,
    frames: Tensor,
    floor: float,
    obstacles: Tensor | None = None,
) -> Value:
    """Divide the energy of each path by the least cost of its pair, and average over paths.

    Parameters
    ----------
    cost : callable
        Maps two non-blank planes (h, w) to the least cost per unit of mass, in squared pixels.
    x0, x1 : Tensor, shape (n, c, h, w)
        Channels that are blank in one of the two are excluded; the others are weighted by their
        mass.
    frames : Tensor, shape (n, k, c, h, w)
    floor, obstacles
        See `own_energy`.

    Raises
    ------
    Undefined
        If a pair has no channel in common, or the images of all pairs are identical.
    """
    ratios = []
    for first, last, path in zip(x0, x1, frames, strict=True):
        both = (masses(first) > 0) & (masses(last) > 0)
        if not both.any():
            raise Undefined("the images of a pair have no colour in common: nothing can move")
        shares = masses(first[both]) + masses(last[both])
        costs = [cost(a, b) for a, b in zip(first[both], last[both], strict=True)]
        if (least := float(shares.new_tensor(costs) @ shares)) > 0:
            energy = own_energy(path[None, :, both], floor, obstacles)[0]
            ratios.append(float(energy @ shares) / least)
    if not ratios:
        raise Undefined("the two images of every pair are the same up to their mass")
    return Value.of(torch.tensor(ratios, dtype=torch.float64))


def area_agreement(images: Tensor, due: Tensor) -> Tensor:
    """Return effective area over expected area, (..., c), or its inverse if that is smaller.

    It is 0 if a channel is blank.
    """
    blank = masses(images) <= 0
    ratio = effective_area(images + blank[..., None, None]) / due
    return torch.minimum(ratio, 1 / ratio).masked_fill(blank, 0)


def effective_area(images: Tensor) -> Tensor:
    r"""Return :math:`1 / \sum p^2` pixels of each normalised channel p, (..., c, h, w) to (..., c).

    Raises
    ------
    Undefined
        If a channel is blank.
    """
    images = images.double()
    if not (masses(images) > 0).all():
        raise Undefined("an image is blank in a colour: it has no area")
    return masses(images).square() / masses(images.square())
