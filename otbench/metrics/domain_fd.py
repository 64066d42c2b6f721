"""Distance of carried images from the target, in the features of the pair's own classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from otbench.interface.artefacts import Translated
from otbench.interface.metric import Direction, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.domain import domain_features
from otbench.metrics.frechet import frechet_distance
from otbench.metrics.translation import TranslationMetric


@dataclass(frozen=True)
class DomainFD(TranslationMetric):
    """Fréchet distance of the domain classifier's features to test images of the target.

    No FID: the features are those of a small network trained on the pair itself (see
    `otbench.metrics.domain`), the same for all methods. The distance is biased upwards for few
    images, so that all three kinds take the same number of them: the first n of each stack, n the
    length of the shortest.

    Parameters
    ----------
    of : {"generated", "floor", "identity"}
        The carried images; other images of the target, which is what sampling alone contributes;
        or the source as it is, which is where a map that does nothing stands.
    """

    of: Literal["generated", "floor", "identity"] = "generated"

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
        """Compare the sets; n is the number of images on either side."""
        stacks = {
            "generated": artefact.generated,
            "floor": artefact.again,
            "identity": artefact.source,
        }
        n = min(len(images) for images in (artefact.real, *stacks.values()))
        real, other = (domain_features(x, ctx)[:n] for x in (artefact.real, stacks[self.of]))
        return Value(frechet_distance(real, other), None, n)
