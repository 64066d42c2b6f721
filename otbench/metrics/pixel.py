"""Differences between images, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from otbench.interface.artefacts import ComparedImages
from otbench.interface.metric import Direction, Metric, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_paired

FLOOR = 1e-10
"""Mean squared error below which two images count as identical, which limits PSNR to 100 dB."""


def squared_error(real: Tensor, generated: Tensor) -> Tensor:
    """Average the squared difference over the pixels and channels of each image, shape (n,)."""
    return (real.double() - generated.double()).square().flatten(1).mean(1)


def paired_errors(pairs: ComparedImages, ctx: ScoreContext) -> Tensor:
    """Return the mean squared error of each pair, shape (n,), computed once per cell."""
    check_paired(pairs)
    return ctx.once(
        "squared-error", lambda: ctx.batched(squared_error, pairs.real, pairs.generated), of=pairs
    )


@dataclass(frozen=True)
class MSE(Metric):
    """Mean squared error of a pixel on [0, 1], averaged over images."""

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, 1], squared intensity"
    title: ClassVar[str] = "Mean squared error"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "mse"

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Average over image pairs; the standard error is over them."""
        return Value.of(paired_errors(artefact, ctx))


@dataclass(frozen=True)
class PSNR(Metric):
    """Peak signal-to-noise ratio, 10 log10(1 / MSE) of each image, then the mean.

    The mean is over the decibels of the images, not the decibels of the mean error. Images that are
    identical up to `FLOOR` count as 100 dB.
    """

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[0, 100] dB"
    title: ClassVar[str] = "Peak signal-to-noise ratio"

    @property
    def id(self) -> str:
        """Name; the peak is always 1."""
        return "psnr"

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Average over image pairs; the standard error is over them."""
        return Value.of(-10 * paired_errors(artefact, ctx).clamp(min=FLOOR).log10())
