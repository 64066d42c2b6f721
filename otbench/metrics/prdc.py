r"""Fidelity and diversity of translated images, by nearest neighbours.

Each feature of a sample is the centre of a closed ball that extends to its k-th nearest neighbour
in the same sample. Precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1
and 2, k = 3) count the points of one sample that lie in a ball of the other; density and coverage
(Naeem et al. 2020, arXiv 2002.09797, equations 3 and 4, k = 5) use only the balls of real features,
which outliers of the method cannot widen. Coverage is modified by a bound here; see `covered`.
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
"""k of each score, as proposed by its authors."""

COMPARED = 1000
"""Largest number of images of each side, the first ones; all distances between them are
computed."""

CROWD = 4
"""Largest number of real points that a generated point covers, in units of k."""


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Return Euclidean distances (n, m) of features (n, d) and (m, d), in float64.

    They are computed from differences, not from inner products, so equal points have distance
    exactly 0.
    """
    return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")


def radii(within: Tensor, k: int) -> Tensor:
    """Return the distance of each point to its k-th nearest neighbour.

    Parameters
    ----------
    within : Tensor, shape (n, n)
        Distances between all points of a sample; the distance of a point to itself is ignored.
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
    """Return which real points are covered: those whose ball contains a nearby generated point.

    A generated point covers at most its `CROWD` k nearest real points; on average it would lie in k
    balls. In high dimensions the centre of a Gaussian sample lies in every ball, so without this
    bound a map that sends everything there would cover the whole target.

    Parameters
    ----------
    between : Tensor, shape (n, m)
        Distances of the real points to the generated ones.
    reach : Tensor, shape (n,)
        Radii of the real points' balls.
    k : int
        Number of neighbours that defines the radii.

    Returns
    -------
    Tensor, shape (n,), bool
    """
    nearest = between.topk(min(CROWD * k, len(between)), dim=0, largest=False).indices
    near = torch.zeros_like(between, dtype=torch.bool).scatter_(0, nearest, True)
    return ((between <= reach[:, None]) & near).any(1)


def coverage(real: Tensor, generated: Tensor, k: int = NEIGHBOURS["coverage"]) -> float:
    """Return the fraction of real features covered by generated ones; see `covered`.

    In low dimensions, two samples of size n of one distribution reach 1 - (n-1)...(n-k) /
    ((2n-1)...(2n-k)), about 1 - 2^-k; for a Gaussian in 64 dimensions the value is about .85.

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
        Features, equally many on both sides.

    Raises
    ------
    ValueError
        If their numbers differ, because scores depend on the sample size.
    """
    if len(real) != len(generated):
        raise ValueError(
            f"both sides need equally many items, got {len(real)} and {len(generated)}"
        )
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

    Precision and density measure whether translated images look like the target; a map that sends
    everything to one good image wins both. Recall and coverage measure whether the images cover the
    target, and decrease when a map collapses. However, the fewer good images there are, the wider
    are the balls of recall, and outliers widen them further, so only coverage has a direction. The
    first n images of both sides are compared, where n is the size of the smaller side but at most
    `COMPARED`.

    Parameters
    ----------
    of : {"precision", "recall", "density", "coverage"}
    """

    of: Literal["precision", "recall", "density", "coverage"] = "coverage"

    blind_to: ClassVar[tuple[Degenerate, ...]] = ("shuffled",)
    range: ClassVar[str] = "[0, 1]; density [0, inf), 1 in the mean for one law"
    title: ClassVar[str] = "Neighbours of target and translated images in the classifier's features"

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``higher`` for coverage, ``neutral`` for the others."""
        return "higher" if self.of == "coverage" else "neutral"

    @property
    def id(self) -> str:
        """Name with the number of neighbours."""
        return f"{self.of}[k={NEIGHBOURS[self.of]}]"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Count neighbours, found once per cell; n is the number of images on each side."""
        n = min(COMPARED, len(artefact.real), len(artefact.generated))
        real, made = (domain_features(x, ctx)[:n] for x in (artefact.real, artefact.generated))
        scores = ctx.once("neighbours", lambda: neighbour_scores(real, made), of=artefact)
        return Value(scores[self.of], None, n)
