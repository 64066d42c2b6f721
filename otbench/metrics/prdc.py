r"""Fidelity and diversity of carried images by nearest neighbours.

Around each feature of one sample lies a closed ball that reaches its k-th nearest neighbour in the
same sample. Precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1 and 2,
k = 3) count the points of one sample that lie in a ball of the other; density and coverage (Naeem
et al. 2020, arXiv 2002.09797, equations 3 and 4, k = 5) use the real balls alone, which outliers of
the method cannot widen. Coverage is bounded here; see `covered`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.metric import Degenerate, Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.domain import domain_features
from otbench.metrics.translation import TranslationMetric

NEIGHBOURS = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}
"""k of each score, as its authors propose."""

COMPARED = 1000
"""Images of either side at most, the first ones: all distances between them are taken."""

CROWD = 4
"""Real points that a generated one covers at most, in units of k."""


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


def covered(between: Tensor, reach: Tensor, k: int) -> Tensor:
    """Return which real points are covered: those whose ball holds a generated one nearby.

    A generated point covers at most the `CROWD` k real points nearest to it; on average it would
    lie in k balls. In many dimensions the centre of a Gaussian sample lies in every ball, so that
    without this bound a map that sends everything there would cover the whole target.

    Parameters
    ----------
    between : Tensor, shape (n, m)
        Distances of the real points to the generated ones.
    reach : Tensor, shape (n,)
        Radii of the real points' balls.
    k : int
        Neighbours that the radii are for.

    Returns
    -------
    Tensor, shape (n,), bool
    """
    nearest = between.topk(min(CROWD * k, len(between)), dim=0, largest=False).indices
    near = torch.zeros_like(between, dtype=torch.bool).scatter_(0, nearest, True)
    return ((between <= reach[:, None]) & near).any(1)


def coverage(real: Tensor, generated: Tensor, k: int = NEIGHBOURS["coverage"]) -> float:
    """Return the share of real features that generated ones cover; see `covered`.

    In few dimensions two samples of n of one law come to 1 - (n-1)...(n-k) / ((2n-1)...(2n-k)),
    about 1 - 2^-k; in 64 dimensions of a Gaussian law to about .85.

    Parameters
    ----------
    real, generated : Tensor, shape (n, d), (m, d)
    k : int
    """
    reach = radii(distances(real, real), k)
    return float(covered(distances(real, generated), reach, k).double().mean())


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
        "coverage": covered(between, radii(within, NEIGHBOURS["coverage"]), NEIGHBOURS["coverage"]),
    }
    return {name: float(share.double().mean()) for name, share in shares.items()}


@dataclass(frozen=True)
class PRDC(TranslationMetric):
    """Precision, recall, density or coverage in the domain classifier's features.

    Precision and density ask whether carried images look like the target: a map that sends all to
    one good image wins both. Recall and coverage ask whether the images show all of the target, and
    fall when a map collapses; but the fewer good images there are, the wider recall's balls, and
    outliers widen them further. Hence coverage alone has a direction. Both sides give their first n
    images, n the length of the shorter, `COMPARED` at most.

    Parameters
    ----------
    of : {"precision", "recall", "density", "coverage"}
    """

    of: Literal["precision", "recall", "density", "coverage"] = "coverage"

    blind_to: ClassVar[tuple[Degenerate, ...]] = ("shuffled",)
    range: ClassVar[str] = "[0, 1]; density [0, inf), 1 in the mean for one law"
    title: ClassVar[str] = "Neighbours of target and carried images in the classifier's features"

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``higher`` for coverage, ``neutral`` for the others."""
        return "higher" if self.of == "coverage" else "neutral"

    @property
    def id(self) -> str:
        """Name with the number of neighbours."""
        return f"{self.of}[k={NEIGHBOURS[self.of]}]"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Count neighbours, found once a cell; n is the number of images on either side."""
        n = min(COMPARED, len(artefact.real), len(artefact.generated))
        real, made = (domain_features(x, ctx)[:n] for x in (artefact.real, artefact.generated))
        scores = ctx.once("neighbours", lambda: neighbour_scores(real, made), of=artefact)
        return Value(scores[self.of], None, n)
