"""Barycenter: weighted averages of the corner images of a scene."""

from __future__ import annotations

import itertools
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface.artefacts import Barycenters
from otbench.interface.data import ImageDataset
from otbench.interface.method import Interpolator, Method
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import Task
from otbench.tasks.base import checked_images

STEPS = 5
"""Number of steps from one corner to the next. The paper prints weights i/6, which never reach the
far corners; its figures show i/5."""

MOST_CORNERS = STEPS
"""Largest number of corners for which the grid has weights that are all positive."""


def grid_weights(corners: int) -> Tensor:
    """Return the grid of weights with which the corners are averaged.

    Parameters
    ----------
    corners : int
        Number of corners, from 2 to `MOST_CORNERS`.

    Returns
    -------
    Tensor, shape (k, corners), float32
        For four corners (top left, top right, bottom left, bottom right of a square), the 6 x 6
        bilinear weights, row by row. Otherwise all weights that are multiples of 1/5: 6 for two
        corners, from the second to the first, 21 for three and 126 for five.
    """
    if corners == 4:
        along = torch.arange(STEPS + 1) / STEPS
        down, right = (axis.flatten() for axis in torch.meshgrid(along, along, indexing="ij"))
        up, left = 1 - down, 1 - right
        return torch.stack([up * left, up * right, down * left, down * right], 1)
    shares = [
        share
        for share in itertools.product(range(STEPS + 1), repeat=corners)
        if sum(share) == STEPS
    ]
    return torch.tensor(shares) / STEPS


def draws_barycenters(method: Method) -> bool:
    """Return whether a method can average images."""
    return (
        isinstance(method, Interpolator) and type(method).barycenter is not Interpolator.barycenter
    )


def drawn_barycenters(
    method: Interpolator, corners: Tensor, weights: Tensor, ctx: ScoreContext
) -> Tensor:
    """Average corners (m, c, h, w) with each row of weights (k, m), and check the images.

    The images are drawn once per cell.

    Raises
    ------
    BadOutput
        If the images have the wrong type, shape, dtype or range.
    """
    call = f"{type(method).__name__}.barycenter"
    corners = corners.to(ctx.device)

    def draw(part: Tensor) -> Tensor:
        shape = (len(part), *corners.shape[1:])
        return checked_images(method.barycenter(corners.clone(), part.clone()), shape, call).to(
            ctx.device
        )

    return ctx.once("barycenters", lambda: ctx.batched(draw, weights), of=method)


class Barycenter(Task):
    """Average the corner images of a scene with the weights of `grid_weights`."""

    name: ClassVar[str] = "barycenter"
    title: ClassVar[str] = "Barycentres of the corners of a scene"
    order: ClassVar[int] = 80
    default_metrics: ClassVar[tuple[str, ...]] = (
        "barycenter-gap",
        "barycenter-w2",
        "sharpness",
        "centroid-bilinearity",
    )

    def lacks(self, data: ImageDataset) -> str | None:
        """Require a scene with two to five corners."""
        if data.scene is None or data.scene.corners is None:
            return f"needs corners: {data.name} has none"
        count = len(data.scene.corners)
        if not 2 <= count <= MOST_CORNERS:
            return f"needs 2 to {MOST_CORNERS} corners: {data.name} has {count}"
        return None

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Require also a method that can average images."""
        if not draws_barycenters(method):
            return f"needs barycenter: {type(method).__name__} cannot average images"
        return self.lacks(data)

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> Barycenters:
        """Return the method's averages, with the exact barycentres if they are known."""
        assert data.scene is not None
        assert data.scene.corners is not None
        corners = data.scene.corners.to(ctx.device)
        weights = grid_weights(len(corners))
        exact = None
        if data.scene.barycenters is not None:
            exact = data.scene.barycenters(weights).double().to(ctx.device)
            wanted = (len(weights), *corners.shape[1:])
            if tuple(exact.shape) != wanted:
                raise ValueError(
                    f"the barycentres that {data.name} declares have shape "
                    f"{tuple(exact.shape)}, wanted {wanted}"
                )
        images = drawn_barycenters(method, corners, weights, ctx)
        return Barycenters(corners, weights.to(ctx.device), images, exact)
