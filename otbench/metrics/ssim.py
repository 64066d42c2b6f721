"""Structural similarity, batched, equal to scikit-image's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from otbench.interface.artefacts import ComparedImages
from otbench.interface.data import ImageDataset
from otbench.interface.metric import Direction, Metric, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_paired

WINDOW = 7
"""Side of the uniform window, in pixels: scikit-image's default."""


def structural_similarity(a: Tensor, b: Tensor, window: int = WINDOW) -> Tensor:
    r"""Compare images by means, variances and covariance in sliding windows.

    .. math::
        \frac{(2\mu_a\mu_b + C_1)(2\sigma_{ab} + C_2)}
             {(\mu_a^2 + \mu_b^2 + C_1)(\sigma_a^2 + \sigma_b^2 + C_2)}, \qquad
        C_1 = 0.01^2, \; C_2 = 0.03^2,

    averaged over all windows inside the image and over channels (Wang, Bovik, Sheikh & Simoncelli
    2004, equation 13), with a uniform window and unbiased (co)variances, as
    ``skimage.metrics.structural_similarity(a, b, win_size=window, data_range=1)``.

    Parameters
    ----------
    a, b : Tensor, shape (n, c, h, w)
        In [0, 1]; the computation is in float64.
    window : int
        Odd, at most the smaller side.

    Returns
    -------
    Tensor, shape (n,), float64
        In [-1, 1]; 1 for identical images.
    """
    if window % 2 == 0 or window > min(a.shape[-2:]):
        raise ValueError(f"window must be odd and at most {min(a.shape[-2:])}, got {window}")
    a, b = a.double(), b.double()

    def mean(x: Tensor) -> Tensor:
        x = functional.avg_pool2d(x, (window, 1), stride=1)
        return functional.avg_pool2d(x, (1, window), stride=1)

    unbiased = window**2 / (window**2 - 1)
    mean_a, mean_b = mean(a), mean(b)
    product = mean_a * mean_b
    squares = mean_a.square() + mean_b.square()
    variances = unbiased * (mean(a.square() + b.square()) - squares)
    covariance = unbiased * (mean(a * b) - product)
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * product + c1) / (squares + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).flatten(1).mean(1)


@dataclass(frozen=True)
class SSIM(Metric):
    """Structural similarity of images and their reconstructions.

    Parameters
    ----------
    win : int
        Side of the uniform window, in pixels.
    """

    win: int = WINDOW

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[-1, 1]"
    title: ClassVar[str] = "Structural similarity"

    @property
    def id(self) -> str:
        """Name with window and data range."""
        return f"ssim[win={self.win},range=1]"

    def missing(self, data: ImageDataset) -> str | None:
        """Return a reason if images are smaller than the window."""
        side = min(data.image_shape[1:])
        return None if side >= self.win else f"images of side {side} are smaller than the window"

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Average over image pairs; the standard error is over them."""
        check_paired(artefact)
        return Value.of(
            ctx.batched(
                lambda a, b: structural_similarity(a, b, self.win),
                artefact.real,
                artefact.generated,
            )
        )
