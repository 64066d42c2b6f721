"""Agreement of K-means clusters of codes with the classes."""

from __future__ import annotations

import warnings
from abc import abstractmethod
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


@dataclass(frozen=True)
class Restarts:
    """What K-means found from each of its starts.

    Attributes
    ----------
    clusters : ndarray, shape (n_init, m), int64
        The cluster of each test code, one row a start.
    best : int
        The start with the least inertia on the training codes.
    """

    clusters: Labels
    best: int


def assign(
    train: Tensor, test: Tensor, clusters: int, preprocessing: str, n_init: int, seed: int
) -> Restarts:
    """Fit K-means to training codes from several starts, and assign the test codes by each.

    Uses scikit-learn's Lloyd iterations in float32, with k-means++ initialisation. All starts draw
    from one generator in turn, so the best one is the result of ``KMeans(n_init=n_init)``.

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
    draws = np.random.RandomState(seed % 2**32)
    found, inertias = [], []
    with warnings.catch_warnings():
        # A collapsed encoder has fewer distinct codes than clusters, which its score reflects.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(n_init):
            model = KMeans(clusters, init="k-means++", n_init=1, random_state=draws).fit(points)
            found.append(model.predict(others).astype(np.int64))
            inertias.append(model.inertia_)
    return Restarts(np.stack(found), int(np.argmin(inertias)))


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
    """Base of the K-means scores, with preprocessing, number of starts and how they are combined.

    K-means is fitted to training codes and scored on test codes. ACAI's protocol has whitening,
    random initialisation and n_init 1000, of which the run with the best inertia is scored
    (Berthelot et al. 2018, section 5.2 and ``cluster.py``). Which local minimum has the best
    inertia is a matter of chance: on whitened codes its accuracy varies by .05 to .12 between
    trainings. The mean over the starts varies less.

    Parameters
    ----------
    preprocessing : {"whiten", "raw"}
        Full PCA whitening, see `whiten`, or codes as they are.
    n_init : int
        Number of k-means++ initialisations.
    of : {"best", "mean", "std"}
        ``best`` scores the start with the best inertia on the training codes, ``mean`` averages the
        scores of all starts (its standard error and n are over the starts), and ``std`` is their
        standard deviation (ddof 1).
    """

    preprocessing: Literal["whiten", "raw"] = "whiten"
    n_init: int = 10
    of: Literal["best", "mean", "std"] = "best"

    tasks: ClassVar[tuple[str, ...]] = ("clustering",)
    name: ClassVar[str]

    def __post_init__(self) -> None:
        least = 2 if self.of == "std" else 1
        if self.n_init < least:
            raise ValueError(f"n_init must be at least {least}, got {self.n_init}")

    @property
    def id(self) -> str:
        """Name with preprocessing and starts, and ``mean`` or ``std`` over these."""
        over = "" if self.of == "best" else f",{self.of}"
        return f"{self.name}[{self.preprocessing},n_init={self.n_init}{over}]"

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``higher``; ``neutral`` for the standard deviation."""
        return "neutral" if self.of == "std" else "higher"

    @abstractmethod
    def items(self, clusters: Labels, labels: Labels, classes: int) -> Value:
        """Score one assignment, (m,), against the labels, (m,)."""

    def compute(self, artefact: LatentCodes, ctx: ScoreContext) -> Value:
        """Score the assignment of the best start, or those of all starts."""
        starts, labels = self._starts(artefact, ctx), artefact.labels.cpu().numpy()
        if self.of == "best":
            return self.items(starts.clusters[starts.best], labels, artefact.classes)
        scores = [self.items(one, labels, artefact.classes).value for one in starts.clusters]
        if self.of == "mean":
            return Value.of(torch.tensor(scores, dtype=torch.float64))
        return Value(float(np.std(scores, ddof=1)), None, len(scores))

    def _starts(self, codes: LatentCodes, ctx: ScoreContext) -> Restarts:
        """Run K-means, once a cell for all its scores."""

        def compute() -> Restarts:
            return assign(
                codes.train, codes.test, codes.classes, self.preprocessing, self.n_init, ctx.seed
            )

        return ctx.once(f"k-means/{self.preprocessing}/{self.n_init}", compute, of=codes)


@dataclass(frozen=True)
class KMeansAccuracy(KMeansMetric):
    """Share of test images in the cluster of their class, under the best one-to-one matching."""

    name: ClassVar[str] = "kmeans_acc"
    range: ClassVar[str] = "[0, 1], share of the test images"
    title: ClassVar[str] = "Accuracy of K-means on codes"

    def items(self, clusters: Labels, labels: Labels, classes: int) -> Value:
        """Average over test images; the standard error is over them, with fixed clusters."""
        return Value.of(torch.from_numpy(match(clusters, labels, classes) == labels))


@dataclass(frozen=True)
class KMeansNMI(KMeansMetric):
    """Mutual information of clusters and classes over the mean of their entropies."""

    name: ClassVar[str] = "kmeans_nmi"
    range: ClassVar[str] = "[0, 1]"
    title: ClassVar[str] = "Normalised mutual information of K-means on codes"

    def items(self, clusters: Labels, labels: Labels, classes: int) -> Value:
        """Compare clusters with classes on the test split."""
        from sklearn.metrics import normalized_mutual_info_score

        return Value(float(normalized_mutual_info_score(labels, clusters)), None, len(labels))


@dataclass(frozen=True)
class KMeansARI(KMeansMetric):
    """Rand index of clusters and classes, adjusted for chance."""

    name: ClassVar[str] = "kmeans_ari"
    range: ClassVar[str] = "[-0.5, 1]; 0 for chance"
    title: ClassVar[str] = "Adjusted Rand index of K-means on codes"

    def items(self, clusters: Labels, labels: Labels, classes: int) -> Value:
        """Compare clusters with classes on the test split."""
        from sklearn.metrics import adjusted_rand_score

        return Value(float(adjusted_rand_score(labels, clusters)), None, len(labels))
