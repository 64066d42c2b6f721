"""Preservation of colour by a map: dark images stay dark, and red images stay red."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.translation import TranslationMetric

LEAST = 10
"""Least number of images for a regression of three colours on three colours."""


def mean_colour(images: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean colour of each image, shape (n, c), float64.

    Parameters
    ----------
    images : Tensor, shape (n, c, h, w)
    weights : Tensor, shape (n, h, w)
        Non-negative. The mean of an image whose weights are all 0 is NaN.
    """
    heavy = weights.double().unsqueeze(1)
    return (images.double() * heavy).sum((2, 3)) / heavy.sum((2, 3))


def explained(x: np.ndarray, y: np.ndarray) -> float:
    r"""Return the R^2 of the least-squares regression of y on x, with intercept.

    :math:`1 - \sum\|y - \hat y\|^2 / \sum\|y - \bar y\|^2` over all coordinates together, on the
    points used for the fit (not adjusted for their number).

    Parameters
    ----------
    x, y : array, shape (n, d), (n, e)

    Raises
    ------
    Undefined
        If y is constant.
    """
    total = float(((y - y.mean(0)) ** 2).sum())
    if not total > 1e-12 * max(1.0, float((y**2).sum())):
        raise Undefined(
            "all translated images have the same mean colour: there is nothing to explain"
        )
    design = np.column_stack([np.ones(len(x)), x])
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - float(((y - fitted) ** 2).sum()) / total


@dataclass(frozen=True)
class ColourR2(TranslationMetric):
    """R^2 of a linear regression of the mean colour of T(x) on that of x, all colours together.

    The value is 1 if the colour of x determines that of T(x), and 0 if the two are unrelated.
    Pixels are weighted by the pair's `colour_masks` of the source image, for both x and T(x);
    without masks they are weighted by each image's own brightness (its largest channel). Images
    whose weights are all 0 are excluded. The identity keeps all colours, so the metric has no
    direction.
    """

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, 1]"
    title: ClassVar[str] = "Colour explained by the source's colour"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "colour_r2"

    def missing(self, data: Any) -> str | None:
        """Require images in colour."""
        channels = data.image_shape[0]
        return None if channels == 3 else f"images of {channels} channel(s) have no colour"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Fit in float64 on the CPU; n is the number of images included."""
        x, y = artefact.source, artefact.generated
        masks = artefact.masks
        if masks is None:
            weights = x.amax(1), y.amax(1)
        else:
            if len(masks) != len(x) or masks.shape[1:] != x.shape[2:]:
                raise ValueError(
                    f"colour_masks {tuple(masks.shape)} do not fit images {tuple(x.shape)}"
                )
            weights = (masks.to(x.device),) * 2
        colours = [
            mean_colour(images, heavy).numpy(force=True)
            for images, heavy in zip((x, y), weights, strict=True)
        ]
        known = np.isfinite(np.concatenate(colours, 1)).all(1)
        if known.sum() < LEAST:
            raise Undefined(f"needs {LEAST} images with a colour, got {known.sum()}")
        return Value(explained(*(colour[known] for colour in colours)), None, int(known.sum()))
