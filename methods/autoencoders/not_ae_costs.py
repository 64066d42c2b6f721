"""Transport costs of NOT-AE: strong costs, and the weak cost of a random image."""

from __future__ import annotations

import torch
from torch import Tensor

from otbench.assets import store
from otbench.nn.perceptual import ASSET, load_taps
from otbench.ot.neural.costs import weak_quadratic

PAIRWISE = {
    "l2": lambda x, y: ((x - y) ** 2).flatten(1).mean(dim=1),
    "l1": lambda x, y: (x - y).abs().flatten(1).mean(dim=1),
}

COSTS = ("l2", "l1", "perceptual")

QUADRATIC = ("l2", "perceptual")
"""Costs that are squared distances between pixels or features; only these have a weak form."""


FEATURE_SCALE = 32.0
"""Divisor of squared differences of features. The variance of features is 41 times that of pixels
on MNIST and 29 times on cartoon faces, and the potential's learning rate was chosen for pixels."""


def transport_cost(x: Tensor, y: Tensor, cost: str) -> Tensor:
    """Compute the cost of moving each image x to y, as a mean over its d values.

    Parameters
    ----------
    x, y : Tensor, shape (n, ...)
        Images on [-1, 1] with d = c h w values each, or feature vectors with d values.
    cost : {"l2", "l1"}
        ``l2``: |x - y|^2 / d, which is 2 / d times the strong quadratic cost |x - y|^2 / 2;
        ``l1``: |x - y|_1 / d.

    Returns
    -------
    Tensor, shape (n,)
    """
    return PAIRWISE[cost](x, y)


def mean_variance(y: Tensor) -> Tensor:
    """Estimate Var(mu) / d without bias from k draws of mu per item, (n, k, ...) to (n,).

    Var is the trace of the covariance; the estimate divides by k - 1.

    Raises
    ------
    ValueError
        If k is 1.
    """
    if y.shape[1] < 2:
        raise ValueError("a variance needs at least 2 draws for each image")
    return y.var(dim=1).flatten(1).mean(dim=1)


def weak_quadratic_cost(x: Tensor, y: Tensor, gamma: float) -> Tensor:
    r"""Estimate the gamma-weak quadratic cost, times 2 / d, from k draws per x.

    .. math::
        C_{2,\gamma}(x, \mu) = \tfrac12 \int |x - y|^2 d\mu(y) - \tfrac\gamma2 \mathrm{Var}(\mu)
        = \tfrac12 |x - m|^2 + \tfrac{1 - \gamma}2 \mathrm{Var}(\mu), \quad m = \int y \, d\mu(y)

    (Korotin, Selikhanovych & Burnaev 2022, arXiv 2201.12220); see
    `otbench.ot.neural.costs.weak_quadratic`. For gamma = 0 it is the mean over k of
    `transport_cost` with ``l2``.

    Parameters
    ----------
    x : Tensor, shape (n, ...)
        d values per item.
    y : Tensor, shape (n, k, ...)
        k >= 2 if gamma is not 0.
    gamma : float

    Returns
    -------
    Tensor, shape (n,)
        An estimate may be negative. For gamma <= 1 its expectation is not.

    Raises
    ------
    ValueError
        If gamma is not 0 and k is 1.
    """
    if gamma and y.shape[1] < 2:
        raise ValueError("a variance needs at least 2 draws for each image")
    x, y = x.flatten(1), y.flatten(2)
    cost: Tensor = 2 / x.shape[1] * weak_quadratic(x, y, gamma)
    return cost


class Cost:
    """A cost between images on [-1, 1] or between their features.

    Parameters
    ----------
    name : str
        One of `COSTS`; ``perceptual`` is ``l2`` between features of
        `otbench.nn.perceptual.AlexNetTaps`.
    device : torch.device

    Raises
    ------
    otbench.errors.DataError
        If no source provides the weights of the network.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        perceptual = name == "perceptual"
        self.network = load_taps(store.require(ASSET), device) if perceptual else None
        self.pairwise = "l2" if perceptual else name

    def embed(self, x: Tensor) -> Tensor:
        """Map images to the space of the cost: to features, or to the images themselves."""
        return x if self.network is None else self.network(x) / FEATURE_SCALE**0.5

    def strong(self, x: Tensor, y: Tensor) -> Tensor:
        """Return c(x, y), shape (n,), for images (n, c, h, w)."""
        return transport_cost(self.embed(x), self.embed(y), self.pairwise)

    def weak(self, x: Tensor, y: Tensor, gamma: float) -> Tensor:
        """Return `weak_quadratic_cost`, shape (n,), for x (n, c, h, w) and y (n, k, c, h, w)."""
        features = self.embed(y.flatten(0, 1)).unflatten(0, y.shape[:2])
        return weak_quadratic_cost(self.embed(x), features, gamma)
