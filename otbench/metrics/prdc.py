r"""Fidelity and diversity of carried images by nearest neighbours.

Around each feature of one sample lies a closed ball that reaches its k-th nearest neighbour in the
same sample. Precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1 and 2,
k = 3) count the points of one sample that lie in a ball of the other; density and coverage (Naeem
et al. 2020, arXiv 2002.09797, equations 3 and 4, k = 5) use the real balls alone, which outliers of
the method cannot widen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.domain import domain_features
from otbench.metrics.translation import TranslationMetric

NEIGHBOURS = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}
"""k of each score, as its authors propose."""


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Return Euclidean distances (n, m) of features (n, d) and (m, d), in float64.

    By differences, never by products: equal points are 0 apart, to the last digit.
    """
    return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")


def radii(within: Tensor, k: int) -> Tensor:
    """Return how far each point is from its k-th nearest neighbour.

    Parameters
    ----------
    within : Tensor, shape (n, n)
        Distances of all points of a sample; those of a point to itself are left out.
    k : int
        At least 1.

    Raises
    ------
    Undefined
        If a point has fewer than k neighbours.
    """
    if len(within) <= k:
        raise Undefined(f"the {k}-th neighbour needs more than {k} images, got {len(within)}")
    apart = within.clone().fill_diagonal_(torch.inf)
    return apart.kthvalue(k, dim=1).values


def coverage(real: Tensor, generated: Tensor, k: int = NEIGHBOURS["coverage"]) -> float:
    """Return the share of real features whose ball holds a generated one.

    Two samples of n of one law come to 1 - (n-1)...(n-k) / ((2n-1)...(2n-k)), about 1 - 2^-k.

    Parameters
    ----------
    real, generated : Tensor, shape (n, d), (m, d)
    k : int
    """
    inside = distances(real, generated) <= radii(distances(real, real), k)[:, None]
    return float(inside.any(1).double().mean())


def neighbour_scores(real: Tensor, generated: Tensor) -> dict[str, float]:
    """Return precision, recall, density and coverage, with the k of `NEIGHBOURS`.

    Parameters
    ----------
    real, generated : Tensor, shape (n, d)
        Features, as many on one side as on the other.

    Raises
    ------
    ValueError
        If the two differ in number: the scores of few and of many do not compare.
    """
    if len(real) != len(generated):
        raise ValueError(f"as many on either side are wanted, got {len(real)} and {len(generated)}")
    between = distances(real, generated)
    within, among = distances(real, real), distances(generated, generated)
    k = NEIGHBOURS["density"]
    in_balls = between <= radii(within, k)[:, None]
    shares = {
        "precision": (between <= radii(within, NEIGHBOURS["precision"])[:, None]).any(0),
        "recall": (between <= radii(among, NEIGHBOURS["recall"])).any(1),
        "density": in_balls.double().sum(0) / k,
        "coverage": in_balls.any(1),
    }
    return {name: float(share.double().mean()) for name, share in shares.items()}


@dataclass(frozen=True)
class PRDC(TranslationMetric):
    """Precision, recall, density or coverage in the domain classifier's features.

    Precision and density ask whether carried images look like the target; recall and coverage
    whether they show all of it, and fall when a map collapses. Both sides give their first n
    images, n the length of the shorter.

    Parameters
    ----------
    of : {"precision", "recall", "density", "coverage"}
    """

    of: Literal["precision", "recall", "density", "coverage"] = "coverage"

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[0, 1]; density [0, inf), 1 in the mean for one law"
    title: ClassVar[str] = "Neighbours of target and carried images in the classifier's features"

    @property
    def id(self) -> str:
        """Name with the number of neighbours."""
        return f"{self.of}[k={NEIGHBOURS[self.of]}]"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Count neighbours, found once a cell; n is the number of images on either side."""
        n = min(len(artefact.real), len(artefact.generated))
        real, made = (domain_features(x, ctx)[:n] for x in (artefact.real, artefact.generated))
        scores = ctx.once("neighbours", lambda: neighbour_scores(real, made), of=artefact)
        return Value(scores[self.of], None, n)
