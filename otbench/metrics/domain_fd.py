"""Distance of translated images from the target, in the features of the pair's classifier."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.metric import Degenerate, Direction, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.domain import domain_features
from otbench.metrics.frechet import frechet_distance
from otbench.metrics.translation import TranslationMetric

DRAWS, DRAW_SEED = 50, 7_160_010
"""Number and seed of the bootstrap samples, and of the splits."""


@dataclass(frozen=True)
class DomainFD(TranslationMetric):
    """Fréchet distance to test images of the target, in the domain classifier's features.

    This is not the FID: the features are those of a small network trained on the pair (see
    `otbench.metrics.domain`), which all methods share. All images of both sides are used. The
    distance is biased upwards, by about c (1/n + 1/m) for n and m images. This bias is the floor.
    It is estimated as the mean over random splits of the target's images (test and validation) into
    two parts in the proportion n to m, scaled from the size of the parts to n and m. A map at the
    floor is as good as the target itself; a value below the floor is not better.

    Use it together with recall and coverage, because a distance between two Gaussians does not show
    missing modes.

    Parameters
    ----------
    of : {"generated", "floor", "identity"}
        The translated images; the target itself, which gives the contribution of sampling; or the
        unchanged source, which gives the score of the identity.
    """

    of: Literal["generated", "floor", "identity"] = "generated"

    blind_to: ClassVar[tuple[Degenerate, ...]] = ("shuffled",)
    range: ClassVar[str] = "[0, inf), squared feature units"
    title: ClassVar[str] = "Fréchet distance of the domain classifier's features"

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``lower`` for a method's images, ``neutral`` for the references."""
        return "lower" if self.of == "generated" else "neutral"

    @property
    def id(self) -> str:
        """Name, with the kind of reference if it is one."""
        return "domain_fd" if self.of == "generated" else f"domain_fd[{self.of}]"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Compare the sets; n is the number of translated images.

        The standard error comes from a bootstrap over the images of both sides. That of the floor
        is the standard deviation over the splits, which is the error of a single pair of samples.
        """
        real, n = domain_features(artefact.real, ctx), len(artefact.generated)
        if self.of == "floor":
            again = domain_features(artefact.again, ctx)
            return floor(torch.cat([real, again]), len(real), n)
        images = artefact.generated if self.of == "generated" else artefact.source
        return resampled(domain_features(images, ctx), real)


def resampled(a: Tensor, b: Tensor) -> Value:
    """Return the Fréchet distance of two samples with its bootstrap standard error.

    Parameters
    ----------
    a, b : Tensor, shape (n, d), (m, d)
    """
    generator = torch.Generator().manual_seed(DRAW_SEED)

    def again(x: Tensor) -> Tensor:
        return x[torch.randint(len(x), (len(x),), generator=generator).to(x.device)]

    draws = [frechet_distance(again(a), again(b)) for _ in range(DRAWS)]
    return Value(frechet_distance(a, b), statistics.stdev(draws), len(a))


def floor(features: Tensor, n: int, m: int) -> Value:
    """Return the expected Fréchet distance between n and m samples of one distribution.

    Parameters
    ----------
    features : Tensor, shape (k, d)
        Samples of the distribution. If k is less than n + m, the splits are smaller by the factor k
        / (n + m), and their distance is multiplied by the same factor.
    n, m : int
    """
    generator = torch.Generator().manual_seed(DRAW_SEED)
    share = min(1.0, len(features) / (n + m))
    first, second = (max(2, int(share * size)) for size in (n, m))
    draws = []
    for _ in range(DRAWS):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        parts = features[order[:first]], features[order[first : first + second]]
        draws.append(share * frechet_distance(*parts))
    return Value(statistics.fmean(draws), statistics.stdev(draws), n)
