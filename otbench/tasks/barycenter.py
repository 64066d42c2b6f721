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
"""Steps from one corner to the next. The paper prints i/6, which never reaches the far corners;
its figures show i/5."""

MOST_CORNERS = STEPS
"""With more, no weights on the grid have all corners in them."""


def grid_weights(corners: int) -> Tensor:
    """List the weights that corners are averaged with.

    Parameters
    ----------
    corners : int
        From 2 to `MOST_CORNERS`.

    Returns
    -------
    Tensor, shape (k, corners), float32
        Four corners (top left, top right, bottom left, bottom right) span a square: its 6 x 6
        bilinear weights, row by row. Else all weights that are multiples of 1/5: for two corners
        6, from the second to the first, for three 21, for five 126.
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
    """Say whether a method averages images at all."""
    return (
        isinstance(method, Interpolator) and type(method).barycenter is not Interpolator.barycenter
    )


def drawn_barycenters(
    method: Interpolator, corners: Tensor, weights: Tensor, ctx: ScoreContext
) -> Tensor:
    """Average corners (m, c, h, w) by each row of weights (k, m), once a cell; check the images.

    Raises
    ------
    BadOutput
        If they are of the wrong type, shape, dtype or range.
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
    """Average the corner images of a scene by the weights of `grid_weights`."""

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
        """Need a scene with two to five corners."""
        if data.scene is None or data.scene.corners is None:
            return f"needs corners: {data.name} has none to average"
        count = len(data.scene.corners)
        if not 2 <= count <= MOST_CORNERS:
            return f"needs 2 to {MOST_CORNERS} corners: {data.name} has {count}"
        return None

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Need a method that averages, too."""
        if not draws_barycenters(method):
            return f"needs barycenter: {type(method).__name__} averages no images"
        return self.lacks(data)

    def run(self, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> Barycenters:
        """Return what the method draws, with the exact barycentres where they are known."""
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
