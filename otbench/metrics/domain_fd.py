"""Distance of carried images from the target, in the features of the pair's own classifier."""

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
"""Number and seed, both of the bootstrap samples and of the splits."""


@dataclass(frozen=True)
class DomainFD(TranslationMetric):
    """Fréchet distance of the domain classifier's features to test images of the target.

    No FID: the features are those of a small network trained on the pair itself (see
    `otbench.metrics.domain`), the same for all methods. All images of either side count. The
    distance is biased upwards, by about c (1/n + 1/m) for n and m images: that is the floor, the
    mean over random splits of the target's images (its test and validation splits) into two parts
    in the proportion n to m, scaled from the size of the parts to n and m. A map is as good as the
    target itself at the floor, and no better below it.

    Read it with recall and coverage: a distance of two Gaussians does not show what is missing.

    Parameters
    ----------
    of : {"generated", "floor", "identity"}
        The carried images; the target itself, which gives the contribution of sampling alone; or
        the unchanged source, which gives the score of the identity.
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
        """Name, with the reference where it is one."""
        return "domain_fd" if self.of == "generated" else f"domain_fd[{self.of}]"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Compare the sets; n is the number of carried images.

        The standard error is that of a bootstrap over the images of both sides, the floor's the
        standard deviation over the splits: what one pair of samples is off by.
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
    """Return the Fréchet distance to be expected between n and m items of one law.

    Parameters
    ----------
    features : Tensor, shape (k, d)
        Items of the law; if k is less than n + m, the splits are smaller by the share k / (n + m)
        and so is the distance taken to be.
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
