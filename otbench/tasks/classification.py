"""Classification: a single linear layer on frozen codes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from otbench.interface.artefacts import Predictions
from otbench.interface.data import ImageDataset
from otbench.interface.method import Autoencoder, Method
from otbench.interface.scoring import ScoreContext
from otbench.tasks.base import CollectionTask, latent_codes, missing_codes

ITERATIONS = 1000
"""Cap on the iterations of the solver; about a hundred are usual."""

RIDGE = 0.1
"""Added to the variances in the solver's coordinates, so that flat directions stay flat."""


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale each coordinate by its mean and deviation over the training codes.

    Computed in float64; a coordinate that never varies is only shifted.
    """
    train, test = train.double(), test.double()
    mean, scale = train.mean(0), train.std(0, correction=0)
    scale = torch.where(scale > 1e-12, scale, torch.ones_like(scale))
    return (train - mean) / scale, (test - mean) / scale


def fit_logistic(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    r"""Fit a multinomial logistic regression to convergence, from zero: no randomness.

    Minimises :math:`\frac1n \sum_i -\log p(y_i | x_i) + \frac{1}{2n} |W|^2`, which is
    scikit-learn's ``LogisticRegression`` at its default C = 1, by full-batch L-BFGS with a strong
    Wolfe line search in whitened coordinates until the largest entry of the gradient is below
    1e-6.

    Parameters
    ----------
    x : Tensor, shape (n, d), float64
    y : Tensor, shape (n,), int64
    classes : int

    Returns
    -------
    weight : Tensor, shape (d, classes)
    bias : Tensor, shape (classes,)
    """
    n, d = x.shape
    spectrum, axes = torch.linalg.eigh(x.T @ x / n)
    # In these coordinates the first Hessian is near the identity: several times fewer iterations,
    # the same minimum.
    rotation = (axes * (spectrum + RIDGE).rsqrt()) @ axes.T
    white = x @ rotation
    weight = torch.zeros(d, classes, dtype=x.dtype, device=x.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=ITERATIONS,
        tolerance_grad=1e-6,
        tolerance_change=1e-14,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        solver.zero_grad()
        loss = functional.cross_entropy(torch.addmm(bias, white, weight), y)
        loss = loss + (rotation @ weight).square().sum() / (2 * n)
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(objective)
    return rotation @ weight.detach(), bias.detach()


class Classification(CollectionTask):
    """Predict the classes of test images from their codes by a single linear layer.

    Codes are standardised by the training codes; the layer is a logistic regression trained to
    convergence on the first `ScoreContext.train_sample` training codes, the method being frozen.
    """

    name: ClassVar[str] = "classification"
    title: ClassVar[str] = "Linear classification of codes"
    order: ClassVar[int] = 30
    default_metrics: ClassVar[tuple[str, ...]] = (
        "probe-acc",
        "code-dim",
    )

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Need an autoencoder and labels."""
        return missing_codes(method, data, labels=True)

    def run(self, method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> Predictions:
        """Return the predicted classes of the test images to score."""
        codes = latent_codes(method, data, ctx)
        train, test = standardise(codes.train, codes.test)
        assert data.train.labels is not None
        labels = data.train.labels[: len(train)].to(ctx.device)
        weight, bias = fit_logistic(train, labels, codes.classes)
        predicted = torch.addmm(bias, test, weight).argmax(1)
        return Predictions(predicted, codes.labels, codes.test.shape[1], len(train))
