"""How far weighted averages of a few images are from Wasserstein barycentres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface.artefacts import Barycenters
from otbench.interface.data import ImageDataset
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images
from otbench.metrics.mass import (
    THRESHOLD,
    area_agreement,
    centroid_distances,
    centroids,
    colour_mean,
    effective_area,
    masses,
    squared_w2,
)

REGULARISATION = 0.01
"""Regularisation of the debiased barycentre, on a unit square. Its costs are up to 1 % above those
of the exact barycentre. Below 0.006 POT's iteration breaks down for distant corners, and its
variant in the log domain takes thirty times as long."""

ITERATIONS = 1000


def scored_points(artefact: Barycenters, ctx: ScoreContext) -> Tensor:
    """Return the rows of weights that are scored: those in which all corners have weight.

    With four corners these are 16 of 36. If `ScoreContext.pairs` is smaller, so many evenly spaced
    rows are used.

    Raises
    ------
    ValueError
        If an image lies outside [0, 1].
    Undefined
        If there is no such row.
    """
    check_images(corners=artefact.corners, images=artefact.images)
    rows = (artefact.weights > 1e-6).all(1).nonzero().flatten()
    if not len(rows):
        raise Undefined("no weights have all corners in them")
    spread = torch.linspace(0, len(rows) - 1, min(ctx.pairs, len(rows)))
    return rows[spread.round().long().to(rows.device)]


def debiased_barycenter(corners: Tensor, weights: Tensor) -> Tensor:
    """Average images by POT's debiased convolutional barycentre, separately per channel.

    Parameters
    ----------
    corners : Tensor, shape (m, c, h, w)
        A channel must not be blank in one corner and non-blank in another.
    weights : Tensor, shape (m,)

    Returns
    -------
    Tensor, shape (c, h, w), float64
        Each channel has the weighted mean of the corners' masses.

    References
    ----------
    Janati, H., Cuturi, M. and Gramfort, A. (2020). Debiased Sinkhorn barycenters. ICML.
    """
    from otbench.ot.discrete.barycenter import convolutional, image_barycenter

    solve = partial(
        convolutional, reg=REGULARISATION, debiased=True, iterations=ITERATIONS, warn=False
    )
    share = weights.double().cpu().numpy()
    colours = []
    for stack in corners.double().cpu().transpose(0, 1).numpy():
        inked = stack.any((1, 2))
        if inked.any() and not inked.all():
            raise Undefined("a corner is blank in a colour that another one has")
        colours.append(image_barycenter(stack, share, solve))
    return torch.from_numpy(np.stack(colours))


@dataclass(frozen=True)
class BarycenterGap(Metric):
    r"""Cost of an average divided by the cost of the barycentre; 1 is optimal.

    The cost of b is :math:`\sum_k w_k W_2^2(b, \mu_k)` over the corners, computed by exact plans
    between normalised masses (`otbench.metrics.mass.squared_w2`; channels are weighted by their
    mass in the corners). The reference is the scene's exact barycentre if it is known, else POT's
    debiased entropic barycentre, whose cost is up to 1 % too high, so that the ratio may be
    slightly below 1. A cross-fade of distant corners scores about 2, because half of its cost is
    due to its spread.

    Only points at which all corners have weight are scored; see `scored_points`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("barycenter",)
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), 1 for the barycentre"
    title: ClassVar[str] = "Cost of the barycentre over the least"

    @property
    def id(self) -> str:
        """Name with threshold of the plans and, for unknown barycentres, regularisation."""
        return f"barycenter_gap[threshold={THRESHOLD:g},reg={REGULARISATION:g}]"

    def compute(self, artefact: Barycenters, ctx: ScoreContext) -> Value:
        """Average over the grid's points; they are not a sample, so there is no standard error."""
        corners = artefact.corners
        ratios = []
        for row in scored_points(artefact, ctx).tolist():
            weights = artefact.weights[row]
            best = (
                debiased_barycenter(corners, weights)
                if artefact.exact is None
                else artefact.exact[row]
            )
            least = _cost(best, corners, weights)
            if least > 0:
                ratios.append(_cost(artefact.images[row], corners, weights) / least)
        if not ratios:
            raise Undefined("all corners are the same image")
        return _mean(torch.tensor(ratios, dtype=torch.float64))


def _mean(values: Tensor) -> Value:
    """Average over the points of the grid, (n,)."""
    return Value(float(values.mean()), None, len(values))


def _cost(image: Tensor, corners: Tensor, weights: Tensor) -> float:
    return sum(
        float(weight) * squared_w2(image, corner)
        for weight, corner in zip(weights, corners, strict=True)
    )


@dataclass(frozen=True)
class BarycenterW2(Metric):
    """Wasserstein distance between an average as drawn and the exact barycentre.

    The value is the square root of `otbench.metrics.mass.squared_w2` with normalised masses. Only
    points at which all corners have weight are scored; see `scored_points`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("barycenter",)
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), pixels"
    title: ClassVar[str] = "Wasserstein distance to the exact barycentre"

    @property
    def id(self) -> str:
        """Name with threshold of the plans."""
        return f"barycenter_w2[threshold={THRESHOLD:g}]"

    def missing(self, data: ImageDataset) -> str | None:
        """Require a scene with known barycentres."""
        if data.scene is not None and data.scene.barycenters is not None:
            return None
        return f"the exact barycentres of {data.name} are not known"

    def compute(self, artefact: Barycenters, ctx: ScoreContext) -> Value:
        """Average over the grid's points; they are not a sample, so there is no standard error."""
        if artefact.exact is None:
            raise Undefined("the exact barycentres are not known")
        rows = scored_points(artefact, ctx)
        distances = [
            squared_w2(image, exact) ** 0.5
            for image, exact in zip(artefact.images[rows], artefact.exact[rows], strict=True)
        ]
        return _mean(torch.tensor(distances, dtype=torch.float64))


@dataclass(frozen=True)
class Sharpness(Metric):
    r"""Compactness of an average relative to the corners; 1 is as compact as they are.

    The effective area of an image with normalised mass p is :math:`A = 1 / \sum p^2` pixels; blur
    and cross-fading increase it. Sizes average linearly under transport, so the expected area is
    :math:`(\sum_k w_k \sqrt{A_k})^2`, which is exact if the corners are translated and scaled
    copies of one shape. The value is the ratio of A to the expected area or its inverse, whichever
    is smaller. It is 1/4 for the even cross-fade of four separate discs, and it is also below 1 for
    an average that shrinks to a point.

    Only points at which all corners have weight are scored; see `scored_points`. Channels are
    weighted by their mass in the corners.
    """

    tasks: ClassVar[tuple[str, ...]] = ("barycenter",)
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "(0, 1]"
    title: ClassVar[str] = "Compactness of the barycentre, against the corners"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "sharpness[area]"

    def compute(self, artefact: Barycenters, ctx: ScoreContext) -> Value:
        """Average over the grid's points; they are not a sample, so there is no standard error."""
        rows = scored_points(artefact, ctx)
        weights = artefact.weights[rows].double()
        kept, shares = _colours(artefact.corners, weights)
        due = (weights @ effective_area(artefact.corners[:, kept]).sqrt()).square()
        return _mean(colour_mean(area_agreement(artefact.images[rows][:, kept], due), shares))


@dataclass(frozen=True)
class CentroidBilinearity(Metric):
    """Distance of an average's centre of mass from the weighted mean of the corners' centres.

    Every Wasserstein barycentre has its centre there, so on a square of corners the centre moves
    bilinearly. Only points at which all corners have weight are scored; see `scored_points`.
    Channels are weighted by their mass in the corners.
    """

    tasks: ClassVar[tuple[str, ...]] = ("barycenter",)
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), pixels"
    title: ClassVar[str] = "Distance of the barycentre's centroid from where it is due"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "centroid_bilinearity"

    def compute(self, artefact: Barycenters, ctx: ScoreContext) -> Value:
        """Average over the grid's points; they are not a sample, so there is no standard error."""
        rows = scored_points(artefact, ctx)
        weights = artefact.weights[rows].double()
        kept, shares = _colours(artefact.corners, weights)
        due = torch.einsum("km,mcd->kcd", weights, centroids(artefact.corners[:, kept]))
        errors = centroid_distances(artefact.images[rows][:, kept], due)
        return _mean(colour_mean(errors, shares))


def _colours(corners: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return which channels all corners have, (c,), and their masses at each point, (k, d)."""
    kept = (masses(corners) > 0).all(0)
    if not kept.any():
        raise Undefined("the corners have no colour in common")
    return kept, weights @ masses(corners[:, kept])
