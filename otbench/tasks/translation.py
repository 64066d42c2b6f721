"""Translation: map held-out images of one collection to another, unpaired one."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.data import ImagePair, MeasurePair
from otbench.interface.method import StochasticMap, TransportMap
from otbench.interface.scoring import TOLERANCE, ScoreContext
from otbench.interface.task import BadOutput
from otbench.tasks.base import INCEPTION_METRICS
from otbench.tasks.transport import MapTask, carried

DRAWN_FROM, DRAWS = 64, 8
"""Number of source images for which a stochastic map draws several samples, and of samples each."""

DRAW_SEED = 7_160_008

FAR, SHARE = 0.25, 0.01
"""Images are rejected as having another range if more than the share `SHARE` of their values is
farther than `FAR` from [0, 1]. Values closer to [0, 1] are clipped, because maps that do not know
the range of images leave it by a little."""


class Translation(MapTask):
    """Map test images of the source to images of the target."""

    name: ClassVar[str] = "translation"
    title: ClassVar[str] = "Translation of held-out images to another collection"
    order: ClassVar[int] = 110
    default_metrics: ClassVar[tuple[str, ...]] = (
        "domain-fd",
        "domain-fd[of=floor]",
        "domain-fd[of=identity]",
        "prdc[of=precision]",
        "prdc[of=recall]",
        "prdc[of=density]",
        "prdc[of=coverage]",
        "modes",
        "modes[of=kl]",
        "pairwise-ratio",
        "colour-r2",
        "translation-cost",
        "translation-cost[of=bound]",
        "diversity",
        "range-excess",
        "collapse",
    )
    full_metrics: ClassVar[tuple[str, ...]] = INCEPTION_METRICS

    def lacks(self, data: MeasurePair) -> str | None:
        """Require two collections of images."""
        return None if isinstance(data, ImagePair) else f"{data.name} is not a pair of image sets"

    def run(self, method: TransportMap, data: ImagePair, ctx: ScoreContext) -> Translated:
        """Return the images and their translations.

        Raises
        ------
        BadOutput
            If the translations have the wrong shape, or are far from [0, 1].
        """
        rows = data.source_images.test.sample_rows(ctx.sample)
        source = data.source_images.test.images[rows].to(ctx.device)
        masks = None if data.colour_masks is None else data.colour_masks[rows]
        reached = data.target_images.test.sample(ctx.sample)
        again = data.target_images.validation.sample(ctx.sample).images.to(ctx.device)
        moved = carried(method, source.flatten(1), ctx)
        generated, excess = as_images(moved, data, f"{type(method).__name__}.push")
        draws = None
        if isinstance(method, StochasticMap):
            generator = torch.Generator(ctx.device).manual_seed(DRAW_SEED)
            with torch.no_grad():
                few = method.conditional(source[:DRAWN_FROM].flatten(1).clone(), DRAWS, generator)
            rows, _ = as_images(few.flatten(0, 1), data, f"{type(method).__name__}.conditional")
            draws = rows.unflatten(0, few.shape[:2])
        return Translated(
            reached.images.to(ctx.device),
            generated,
            False,
            draws,
            source=source,
            again=again,
            excess=excess,
            labels=reached.labels,
            masks=masks,
        )


def as_images(points: Tensor, data: ImagePair, call: str) -> tuple[Tensor, float]:
    """Return points (n, d) as images clipped to [0, 1], and their mean distance from [0, 1].

    Raises
    ------
    BadOutput
        If they are so far off that they must have another range; see `FAR`.
    """
    images = data.images(points)
    clipped = images.clamp(0, 1)
    excess = (images - clipped).abs()
    if float((excess > FAR).double().mean()) > SHARE:
        low, high = (float(value) for value in torch.aminmax(images))
        hint = ""
        if low >= -1 - TOLERANCE and high <= 1 + TOLERANCE:
            hint = "; rescale images on [-1, 1] with (x + 1) / 2"
        raise BadOutput(
            f"{call} returned images with values from {low:.4g} to {high:.4g}, wanted [0, 1]{hint}"
        )
    return clipped, float(excess.double().mean())
