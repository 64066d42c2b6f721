"""Classification of frozen codes by a single linear layer."""

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
"""Solver of scikit-learn; on 1,254 codes of dimension 1,024 it is 20 times faster than L-BFGS and
as precise."""

TOLERANCE = 1e-5
"""Tolerance on the gradient; Newton's method goes from 1e-4 to this in one iteration."""

ITERATIONS = 1000
"""Largest number of iterations of the solver; it usually takes 15."""


def fit_probe(codes: Tensor, labels: Tensor) -> Any:
    """Standardise codes and fit a multinomial logistic regression to convergence.

    The fit starts at zero and is deterministic. It uses scikit-learn's L2 penalty with the default
    C = 1.

    Parameters
    ----------
    codes : Tensor, shape (n, d)
        Converted to float64. A constant coordinate is centred but not scaled.
    labels : Tensor, shape (n,), int64
    """
    # The import takes seconds, and cells without a code do not need it.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(solver=SOLVER, tol=TOLERANCE, max_iter=ITERATIONS)
    probe = make_pipeline(StandardScaler(), classifier)
    return probe.fit(codes.double().numpy(force=True), labels.numpy(force=True))


class Classification(CollectionTask):
    """Predict the classes of test images from their codes with a single linear layer.

    Codes are standardised with the statistics of the training codes. The layer is a logistic
    regression, fitted to convergence on the codes of a stratified sample of
    `ScoreContext.train_sample` training images; the method is not trained further.
    """

    name: ClassVar[str] = "classification"
    title: ClassVar[str] = "Linear classification of codes"
    order: ClassVar[int] = 30
    default_metrics: ClassVar[tuple[str, ...]] = (
        "probe-acc",
        "code-dim",
    )

    def missing(self, method: Method, data: ImageDataset) -> str | None:
        """Require an autoencoder and labels."""
        return missing_codes(method, data, labels=True)

    def run(self, method: Autoencoder, data: ImageDataset, ctx: ScoreContext) -> Predictions:
        """Return the predicted classes of the test images to score."""
        codes = latent_codes(method, data, ctx)
        assert codes.train_labels is not None
        probe = fit_probe(codes.train, codes.train_labels)
        classes = probe.predict(codes.test.double().numpy(force=True))
        predicted = torch.from_numpy(classes).to(codes.labels.device)
        return Predictions(predicted, codes.labels, codes.test.shape[1], len(codes.train))
