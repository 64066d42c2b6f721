"""Classification: a single linear layer on frozen codes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from otbench.interface.artefacts import Predictions
from otbench.interface.data import ImageDataset
from otbench.interface.method import Autoencoder, Method
from otbench.interface.scoring import ScoreContext
from otbench.tasks.base import CollectionTask, latent_codes, missing_codes

SOLVER = "newton-cg"
"""On 1,254 codes of 1,024 numbers 20 times faster than L-BFGS, and as precise."""

TOLERANCE = 1e-5
"""On the gradient; Newton's method passes from 1e-4 to this in an iteration."""

ITERATIONS = 1000
"""Cap on the solver's iterations; 15 are usual."""


def fit_probe(codes: Tensor, labels: Tensor) -> Any:
    """Standardise codes and fit a multinomial logistic regression to convergence.

    From zero and without randomness; scikit-learn's ridge at its default C = 1.

    Parameters
    ----------
    codes : Tensor, shape (n, d)
        Computed with in float64; a coordinate that never varies is only shifted.
    labels : Tensor, shape (n,), int64
    """
    # Its import takes seconds, which cells without a code need not pay.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(solver=SOLVER, tol=TOLERANCE, max_iter=ITERATIONS)
    probe = make_pipeline(StandardScaler(), classifier)
    return probe.fit(codes.double().numpy(force=True), labels.numpy(force=True))


class Classification(CollectionTask):
    """Predict the classes of test images from their codes by a single linear layer.

    Codes are standardised by the training codes; the layer is a logistic regression trained to
    convergence on the codes of `ScoreContext.train_sample` training images, a stratified sample,
    the method being frozen.
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
        assert codes.train_labels is not None
        probe = fit_probe(codes.train, codes.train_labels)
        classes = probe.predict(codes.test.double().numpy(force=True))
        predicted = torch.from_numpy(classes).to(codes.labels.device)
        return Predictions(predicted, codes.labels, codes.test.shape[1], len(codes.train))
