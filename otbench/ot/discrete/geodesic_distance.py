"""Shortest paths around walls, and the least cost of carrying one image to another along them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.csgraph import shortest_path

from otbench.ot.discrete.pot import import_pot

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TOUCH = 1e-9  # pixels: a path may run along a wall, and rounding must not put it inside
PINCH = 1e-7  # pixels: half the width of the plug where two walls meet corner to corner


def geodesic_distances(obstacles: Mask, sources: Array, targets: Array) -> Array:
    r"""Measure the shortest paths around walls between pixel centres, exactly.

    A pixel is a closed unit square. A path may touch a wall, but it may neither enter it nor slip
    through where two walls meet corner to corner. In such a domain a shortest path is a chain of
    straight segments whose inner vertices are convex corners of the walls (Lozano-Pérez & Wesley
    1979). Dijkstra's algorithm on the visibility graph of these corners therefore has no
    discretisation error; paths restricted to the directions of a grid could only be longer.

    Parameters
    ----------
    obstacles : ndarray of bool, shape (h, w)
        True where nothing may pass. The border of the image is a wall, too.
    sources, targets : ndarray, shape (k, 2) and (l, 2)
        Row and column of pixels that are not obstacles.

    Returns
    -------
    ndarray, shape (k, l)
        In pixels; infinite where walls separate source and target.

    Raises
    ------
    ValueError
        If a mask is not (h, w) and bool, or a point lies outside the image or on an obstacle.

    Notes
    -----
    The time grows as (k + l + corners)^2 times the number of runs of wall pixels. Two discs of 40
    pixels in a 64x64 maze take a fraction of a second; two images full of mass take far longer.

    References
    ----------
    Lozano-Pérez, T. & Wesley, M. A. (1979). An algorithm for planning collision-free paths among
    polyhedral obstacles. Communications of the ACM 22(10).
    """
    if obstacles.ndim != 2 or obstacles.dtype != np.bool_:
        raise ValueError(
            f"obstacles must be bool and (h, w), got {obstacles.dtype} {obstacles.shape}"
        )
    places = [_checked(obstacles, points) for points in (sources, targets)]
    corners, walls = _corners(obstacles), _rectangles(obstacles)
    ends = [place + 0.5 for place in places]
    best = _lengths(ends[0], ends[1], walls)
    if len(corners):
        between = shortest_path(_lengths(corners, corners, walls), method="D", directed=False)
        leave, arrive = (_lengths(end, corners, walls) for end in ends)
        to_corner = np.min(leave[:, :, None] + between, axis=1)
        for corner, reach in enumerate(arrive.T):
            np.minimum(best, to_corner[:, corner, None] + reach, out=best)
    return best


def geodesic_cost(image0: Array, image1: Array, obstacles: Mask, threshold: float = 0.0) -> float:
    """Solve the static transport problem around walls, for the squared length of shortest paths.

    The result is a lower bound in the continuous domain: a path of unit mass over unit time that
    avoids the walls has at least this action. A discrete path energy with a positive density
    floor may be smaller, because the floor carries mass, too.

    Parameters
    ----------
    image0, image1 : ndarray, shape (h, w)
        Not negative; only pixels above the threshold take part, normalised to mass 1.
    obstacles : ndarray of bool, shape (h, w)
    threshold : float

    Returns
    -------
    float
        Squared pixels per unit of mass; without obstacles it is `exact_plan(...).cost`.

    Raises
    ------
    ValueError
        If the shapes differ, a value is negative or not finite, an image has no pixel above the
        threshold or has mass on a wall, or the walls cut mass off from where it is needed.
    """
    if not image0.shape == image1.shape == obstacles.shape:
        raise ValueError(
            "images and obstacles must be of one shape, got "
            f"{image0.shape}, {image1.shape} and {obstacles.shape}"
        )
    kept = []
    for name, image in (("first", image0), ("second", image1)):
        if not (np.isfinite(image).all() and (image >= 0).all()):
            raise ValueError(
                f"the {name} image holds negative values or values that are not finite"
            )
        mass = np.where(image > threshold, image, 0.0).astype(np.float64)
        if not mass.any():
            raise ValueError(f"the {name} image is empty: no pixel is above {threshold:g}")
        mass /= mass.sum()
        if mass[obstacles].any():
            raise ValueError(
                f"{mass[obstacles].sum():.3%} of the {name} image's mass stands on obstacles: "
                "set those pixels to 0 first"
            )
        kept.append(mass)

    rooms, count = ndimage.label(~obstacles)
    cost = 0.0
    for room in range(1, count + 1):
        inside = [np.where(rooms == room, mass, 0.0) for mass in kept]
        held = [float(mass.sum()) for mass in inside]
        if abs(held[0] - held[1]) > 1e-6:
            raise ValueError(
                "the obstacles seal the images off from each other: a closed region holds "
                f"{held[0]:.3%} of the first image's mass and {held[1]:.3%} of the second's"
            )
        if min(held) > 0:
            weights = [mass[mass > 0] / total for mass, total in zip(inside, held, strict=True)]
            points = [np.argwhere(mass > 0).astype(np.float64) for mass in inside]
            squares = geodesic_distances(obstacles, *points) ** 2
            plan = import_pot().lp.emd(
                *weights, squares, numItermax=10_000_000, check_marginals=False
            )
            cost += held[0] * float((plan * squares).sum())
    return cost


def _checked(obstacles: Mask, points: Array) -> Array:
    """Return the points as float64; raise ValueError if one is outside or on an obstacle."""
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points must be rows and columns (k, 2), got {points.shape}")
    pixels = np.rint(points).astype(np.int64)
    outside = ((pixels < 0) | (pixels >= obstacles.shape)).any(1)
    if outside.any():
        raise ValueError(f"point {points[outside][0]} lies outside the image {obstacles.shape}")
    walled = obstacles[pixels[:, 0], pixels[:, 1]]
    if walled.any():
        raise ValueError(f"point {points[walled][0]} lies on an obstacle")
    return points.astype(np.float64)


def _quarters(obstacles: Mask) -> NDArray[np.bool_]:
    """Report which of the four pixels around each inner vertex are walls, (4, h - 1, w - 1)."""
    return np.stack(
        [obstacles[:-1, :-1], obstacles[:-1, 1:], obstacles[1:, 1:], obstacles[1:, :-1]]
    )


def _corners(obstacles: Mask) -> Array:
    """Return the vertices with a wall in one of four quarters; a path can turn only there."""
    return (np.argwhere(_quarters(obstacles).sum(0) == 1) + 1).astype(np.float64)


def _rectangles(obstacles: Mask) -> Array:
    """Return open boxes (top, left, bottom, right) that cover the inside of the walls.

    The boxes are the runs of wall pixels along rows and along columns. Where two runs of one kind
    touch, a run of the other kind covers the seam between them.
    """
    boxes = []
    for mask, order in ((obstacles, [0, 1, 2, 3]), (obstacles.T, [1, 0, 3, 2])):
        edge = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        line, begin = np.nonzero(edge == 1)
        _, end = np.nonzero(edge == -1)
        boxes.append(np.stack([line, begin, line + 1, end], 1).astype(np.float64)[:, order])
    a, b, c, d = _quarters(obstacles)
    pinch = np.argwhere(((a & c) & ~(b | d)) | ((b & d) & ~(a | c))) + 1.0
    shrink = np.array([TOUCH, TOUCH, -TOUCH, -TOUCH])
    plug = np.concatenate([pinch - PINCH, pinch + PINCH], 1)
    return np.concatenate([np.concatenate(boxes) + shrink, plug])


def _lengths(starts: Array, ends: Array, walls: Array) -> Array:
    """Return the lengths (k, l) of the segments that meet no wall, infinite for the others."""
    origin, step = starts[:, None], ends[None] - starts[:, None]
    length = np.sqrt((step**2).sum(2))
    with np.errstate(divide="ignore"):
        inverse = 1 / step  # infinite along an axis that a segment does not move on
    for top, left, bottom, right in walls:
        # The times at which a segment is between the two sides, on each axis (slab method). The
        # boxes are shrunk, so no point lies on a side and 0 * inf cannot arise.
        near, far = np.array([top, left]) - origin, np.array([bottom, right]) - origin
        times = near * inverse, far * inverse
        enter = np.minimum(*times).max(2)
        leave = np.maximum(*times).min(2)
        length[(np.maximum(enter, 0) < np.minimum(leave, 1))] = np.inf
    return length
