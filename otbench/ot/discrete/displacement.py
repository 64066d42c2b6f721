"""Exact plans between images, and the displacement interpolation along them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otbench.ot.discrete.pot import import_pot

Array = NDArray[np.float64]


class Plan(NamedTuple):
    """The k positive entries of an optimal coupling of two normalised images.

    Attributes
    ----------
    start, end : ndarray, shape (k, 2)
        Row and column of the two pixels that each entry joins.
    weight : ndarray, shape (k,)
        Masses of the entries; they sum to 1.
    """

    start: Array
    end: Array
    weight: Array

    @property
    def cost(self) -> float:
        """Squared 2-Wasserstein distance of the normalised images, in squared pixels."""
        return float(self.weight @ ((self.start - self.end) ** 2).sum(1))


def colours_apart(
    draw: Callable[[Array, Array, Array], Array], x0: Tensor, x1: Tensor, times: Tensor
) -> Tensor:
    """Draw the path of each colour of each pair separately, on the CPU.

    Parameters
    ----------
    draw : callable
        Maps two images (h, w) and times (k,) to frames (k, h, w).
    x0, x1 : Tensor, shape (n, c, h, w)
    times : Tensor, shape (k,)

    Returns
    -------
    Tensor, shape (n, k, c, h, w), float64
        On the CPU.
    """
    seen = times.detach().double().cpu().numpy()
    starts, ends = (x.detach().double().cpu().flatten(0, 1).numpy() for x in (x0, x1))
    paths = [torch.from_numpy(draw(a, b, seen)) for a, b in zip(starts, ends, strict=True)]
    return torch.stack(paths).unflatten(0, x0.shape[:2]).transpose(1, 2)


def supports(image0: Array, image1: Array, threshold: float) -> tuple[list[Array], list[Array]]:
    """Return the places (row, column) and normalised masses of the pixels of two images.

    Takes the same arguments as `exact_plan` and raises the same errors.
    """
    if image0.ndim != 2 or image0.shape != image1.shape:
        raise ValueError(
            f"images must be (h, w) and of one shape, got {image0.shape} and {image1.shape}"
        )
    for name, image in (("first", image0), ("second", image1)):
        if not (np.isfinite(image).all() and (image >= 0).all()):
            raise ValueError(
                f"the {name} image holds negative values or values that are not finite"
            )
        if not (image > threshold).any():
            raise ValueError(f"the {name} image is empty: no pixel is above {threshold:g}")
    places = [np.argwhere(image > threshold).astype(np.float64) for image in (image0, image1)]
    masses = [image[image > threshold] for image in (image0, image1)]
    return places, [mass / mass.sum() for mass in masses]


def exact_plan(image0: Array, image1: Array, threshold: float = 0.0) -> Plan:
    """Couple two images optimally for the squared distance, by POT's network simplex.

    Parameters
    ----------
    image0, image1 : ndarray, shape (h, w)
        Not negative; only pixels above the threshold take part, normalised to mass 1.
    threshold : float

    Raises
    ------
    ValueError
        If the shapes differ, a value is negative or not finite, or an image has no such pixel.
    """
    places, weights = supports(image0, image1, threshold)
    costs = ((places[0][:, None] - places[1][None]) ** 2).sum(2)
    coupling = import_pot().lp.emd(*weights, costs, numItermax=10_000_000, check_marginals=False)
    i, j = coupling.nonzero()
    return Plan(places[0][i], places[1][j], coupling[i, j])


def splat(points: Array, weights: Array, shape: tuple[int, int]) -> Array:
    """Distribute the mass of each point bilinearly among the four pixels around it.

    Parameters
    ----------
    points : ndarray, shape (k, 2)
        Rows and columns, within the image.
    weights : ndarray, shape (k,)
    shape : tuple of int
        Height and width.

    Returns
    -------
    ndarray, shape (h, w)
        Mass and centroid are those of the points; a pixel may exceed 1.
    """
    height, width = shape
    corner = np.minimum(np.floor(points), np.array([height - 1, width - 1])).astype(np.int64)
    part = points - corner
    image = np.zeros(height * width)
    for down in (0, 1):
        for right in (0, 1):
            rows = np.minimum(corner[:, 0] + down, height - 1)
            columns = np.minimum(corner[:, 1] + right, width - 1)
            share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
            image += np.bincount(rows * width + columns, weights * share, minlength=height * width)
    return image.reshape(shape)


def displacement_path(
    image0: Array,
    image1: Array,
    times: Array,
    threshold: float = 0.0,
    plan_of: Callable[[Array, Array, float], Plan] = exact_plan,
) -> Array:
    """Draw McCann's displacement interpolation between two images.

    Parameters
    ----------
    image0, image1 : ndarray, shape (h, w)
        Not negative. If one of them has no pixel above the threshold, nothing can move, and the
        other grows or fades in place.
    times : ndarray, shape (k,)
        In [0, 1].
    threshold : float
        See `exact_plan`.
    plan_of : callable
        Function that couples the images, called as ``plan_of(image0, image1, threshold)``.

    Returns
    -------
    ndarray, shape (k, h, w)
        Frames, not clipped. Their mass changes linearly from that of the first image to that of
        the second (pixels above the threshold).

    References
    ----------
    McCann, R. J. (1997). A convexity principle for interacting gases. Adv. Math. 128.
    """
    kept0, kept1 = (np.where(image > threshold, image, 0.0) for image in (image0, image1))
    weights = np.stack([1 - times, times], 1)
    if not (kept0.any() and kept1.any()):
        return weights[:, 0, None, None] * kept0 + weights[:, 1, None, None] * kept1
    plan = plan_of(image0, image1, threshold)
    masses = weights @ np.array([kept0.sum(), kept1.sum()])
    return np.stack(
        [
            splat(t0 * plan.start + t1 * plan.end, mass * plan.weight, kept0.shape)
            for (t0, t1), mass in zip(weights, masses, strict=True)
        ]
    )
