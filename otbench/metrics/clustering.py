"""Agreement of K-means clusters of codes with the classes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otbench.interface.artefacts import LatentCodes
from otbench.interface.metric import Direction, Metric, Value
from otbench.interface.scoring import ScoreContext

Labels = NDArray[np.int64]


def whiten(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate codes to their principal axes and scale each by its singular value.

    As in ACAI's ``cluster.py``, z becomes (z V) / (S + 1e-5), where U S V is the singular value
    decomposition of the centred training codes. All axes are kept, so axes with almost no variance
    have as much weight as the others.
    """
    train, test = train.double(), test.double()
    mean = train.mean(0)
    _, singular, axes = torch.linalg.svd(train - mean, full_matrices=False)
    white_train, white_test = (((x - mean) @ axes.T) / (singular + 1e-5) for x in (train, test))
    return white_train, white_test


def assign(
    train: Tensor, test: Tensor, clusters: int, preprocessing: str, n_init: int, seed: int
) -> Labels:
    """Fit K-means to training codes and return the cluster of each test code, shape (m,).

    Uses scikit-learn's Lloyd iterations in float32, with k-means++ initialisation and the best
    inertia of ``n_init`` runs.

    Parameters
    ----------
    train, test : Tensor, shape (n, d), (m, d)
    clusters : int
        At most n.
    preprocessing : {"whiten", "raw"}
    n_init, seed : int
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if preprocessing == "whiten":
        # A common factor does not change K-means, but its tolerance assumes about unit variance.
        train, test = (x * len(train) ** 0.5 for x in whiten(train, test))
    points, others = (x.float().cpu().numpy() for x in (train, test))
    model = KMeans(clusters, init="k-means++", n_init=n_init, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # A collapsed encoder has fewer distinct codes than clusters, which its score reflects.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points)
    result: Labels = model.predict(others).astype(np.int64)
    return result


def match(assignments: Labels, labels: Labels, clusters: int) -> Labels:
    """Match clusters and classes one to one so that most items agree (Hungarian method).

    Returns
    -------
    ndarray, shape (n,)
        The class to which each item's cluster is matched.
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((clusters, clusters), dtype=np.int64)
    np.add.at(counts, (assignments, labels), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    names = np.empty(clusters, dtype=np.int64)
    names[rows] = columns
    result: Labels = names[assignments]
    return result


@dataclass(frozen=True)
class KMeansMetric(Metric):
    """Base of the K-means scores: preprocessing and number of initialisations.

    K-means is fitted to training codes and scored on test codes. ACAI's protocol has whitening,
    random initialisation and n_init 1000 (Berthelot et al. 2018, section 5.2 and ``cluster.py``).

    Parameters
    ----------
    preprocessing : {"whiten", "raw"}
        Full PCA whitening, see `whiten`, or codes as they are.
    n_init : int
        Number of k-means++ initialisations; the run with the best inertia on the training codes is
        used.
    """

    preprocessing: Literal["whiten", "raw"] = "whiten"
    n_init: int = 10

    tasks: ClassVar[tuple[str, ...]] = ("clustering",)
    direction: ClassVar[Direction] = "higher"

    def __post_init__(self) -> None:
        if self.n_init < 1:
            raise ValueError(f"n_init must be at least 1, got {self.n_init}")

    def protocol(self, name: str) -> str:
        """Return a name with the protocol in brackets."""
        return f"{name}[{self.preprocessing},n_init={self.n_init}]"

    def groups(self, codes: LatentCodes, ctx: ScoreContext) -> tuple[Labels, Labels]:
        """Return clusters and labels of the test codes; K-means runs once per cell."""

        def compute() -> Labels:
            return assign(
                codes.train, codes.test, codes.classes, self.preprocessing, self.n_init, ctx.seed
            )

        key = f"k-means/{self.preprocessing}/{self.n_init}"
        return ctx.once(key, compute, of=codes), codes.labels.cpu().numpy()


@dataclass(frozen=True)
class KMeansAccuracy(KMeansMetric):
    """Share of test images in the cluster of their class, under the best one-to-one matching."""

    range: ClassVar[str] = "[0, 1], share of the test images"
    title: ClassVar[str] = "Accuracy of K-means on codes"

    @property
    def id(self) -> str:
        """Name with preprocessing and starts."""
        return self.protocol("kmeans_acc")

    def compute(self, artefact: LatentCodes, ctx: ScoreContext) -> Value:
        """Average over test images; the standard error is over them, with fixed clusters."""
        clusters, labels = self.groups(artefact, ctx)
        return Value.of(torch.from_numpy(match(clusters, labels, artefact.classes) == labels))


@dataclass(frozen=True)
class KMeansNMI(KMeansMetric):
    """Mutual information of clusters and classes over the mean of their entropies."""

    range: ClassVar[str] = "[0, 1]"
    title: ClassVar[str] = "Normalised mutual information of K-means on codes"

    @property
    def id(self) -> str:
        """Name with preprocessing and starts."""
        return self.protocol("kmeans_nmi")

    def compute(self, artefact: LatentCodes, ctx: ScoreContext) -> Value:
        """Compare clusters with classes on the test split."""
        from sklearn.metrics import normalized_mutual_info_score

        clusters, labels = self.groups(artefact, ctx)
        return Value(float(normalized_mutual_info_score(labels, clusters)), None, len(labels))


@dataclass(frozen=True)
class KMeansARI(KMeansMetric):
    """Rand index of clusters and classes, adjusted for chance."""

    range: ClassVar[str] = "[-0.5, 1]; 0 for chance"
    title: ClassVar[str] = "Adjusted Rand index of K-means on codes"

    @property
    def id(self) -> str:
        """Name with preprocessing and starts."""
        return self.protocol("kmeans_ari")

    def compute(self, artefact: LatentCodes, ctx: ScoreContext) -> Value:
        """Compare clusters with classes on the test split."""
        from sklearn.metrics import adjusted_rand_score

        clusters, labels = self.groups(artefact, ctx)
        return Value(float(adjusted_rand_score(labels, clusters)), None, len(labels))
