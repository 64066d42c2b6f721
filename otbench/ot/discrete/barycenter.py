"""Wasserstein barycentres of a few images: entropic by convolution, exact by linear programming."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from otbench.ot.discrete.barycenter_lp import multi_marginal
from otbench.ot.discrete.displacement import Array, splat
from otbench.ot.discrete.pot import import_pot

NormalisedBarycenter = Callable[[list[Array], Array], Array]
"""Maps images of mass 1 and their positive weights, which sum to 1, to an image of mass 1."""
DIRECT = 1 / 400
"""Least regularisation at which the kernel between distant pixels does not underflow."""


def image_barycenter(
    images: Array, weights: Array, solve: NormalisedBarycenter, threshold: float = 0.0
) -> Array:
    """Average images of any mass: shapes by a barycentre of mass 1, masses linearly.

    Parameters
    ----------
    images : ndarray, shape (m, h, w)
        Not negative. Only pixels above the threshold take part. An image without such pixels
        has no shape and contributes to the mass only.
    weights : ndarray, shape (m,)
        Not negative, summing to 1; images of weight 0 are left out.
    solve : callable
    threshold : float

    Returns
    -------
    ndarray, shape (h, w)

    Raises
    ------
    ValueError
        If images or weights are not as above, or not finite.
    """
    if images.ndim != 3 or weights.shape != images.shape[:1]:
        raise ValueError(
            f"images must be (m, h, w) with m weights, got {images.shape} and {weights.shape}"
        )
    for name, values in (("images", images), ("weights", weights)):
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"{name} hold negative values or values that are not finite")
    if abs(weights.sum() - 1) > 1e-5:
        raise ValueError(f"weights must sum to 1, got {weights.sum():.6g}")
    weights = weights / weights.sum()
    kept = np.where(images > threshold, images, 0.0)
    masses = kept.sum((1, 2))
    shaped = (masses > 0) & (weights > 0)
    if not shaped.any():
        return np.zeros(images.shape[1:])
    shares = weights[shaped] / weights[shaped].sum()
    normalised = list(kept[shaped] / masses[shaped, None, None])
    result: Array = weights @ masses * solve(normalised, shares)
    return result


def convolutional(
    images: list[Array],
    weights: Array,
    *,
    reg: float,
    debiased: bool = False,
    iterations: int = 10_000,
    warn: bool = True,
) -> Array:
    """Average images of mass 1 under the entropic cost, by POT's convolutional Sinkhorn.

    Parameters
    ----------
    images : list of ndarray, shape (h, w)
    weights : ndarray, shape (m,)
    reg : float
        Entropic regularisation; each side of the image has length 1. The result is blurred by
        about the square root of reg / 2.
    debiased : bool
        Use the debiased barycentre of Janati, Cuturi & Gramfort 2020, which removes most of
        that blur.
    iterations : int
        Largest number of iterations.
    warn : bool
        Whether to warn when the iterations did not suffice.

    References
    ----------
    Solomon et al. (2015). Convolutional Wasserstein distances. ACM Trans. Graph. 34.
    """
    bregman = import_pot().bregman
    average = (
        bregman.convolutional_barycenter2d_debiased
        if debiased
        else bregman.convolutional_barycenter2d
    )
    image = average(
        np.stack(images),
        reg,
        weights,
        method="sinkhorn" if reg >= DIRECT else "sinkhorn_log",
        numItermax=iterations,
        stopThr=1e-5,
        warn=warn,
    )
    result: Array = image / image.sum()
    return result


def exact(images: list[Array], weights: Array) -> Array:
    """Average images of mass 1 by the multi-marginal plan; see `otbench.ot.discrete.barycenter_lp`.

    The barycentre's points lie between pixels; each is shared out among the four around it.

    Parameters
    ----------
    images : list of ndarray, shape (h, w)
    weights : ndarray, shape (m,)
    """
    places = [np.argwhere(image > 0).astype(np.float64) for image in images]
    masses = [image[image > 0] for image in images]
    found = multi_marginal(places, masses, weights)
    return splat(found.points, found.mass, images[0].shape)
