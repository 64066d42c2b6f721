"""Detail and variance of images that reconstruction preserves.

The reconstruction of least squared error averages over all images with the same code, so it is
smooth and varies less than the data. The squared error rewards this; these ratios reveal it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from otbench.interface.artefacts import ComparedImages
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images, check_paired
from otbench.metrics.pixel import squared_error


def laplacian_energy(images: Tensor) -> Tensor:
    """Sum the squared five-point Laplacian over the inner pixels of each image, shape (n,).

    Parameters
    ----------
    images : Tensor, shape (n, c, h, w)
        Sides of at least 3; the outermost pixels are used only as neighbours.
    """
    x = images.double()
    middle = x[..., 1:-1, 1:-1]
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return (around - 4 * middle).square().flatten(1).sum(1)


def ratio_of_means(above: Tensor, below: Tensor, nothing: str) -> Value:
    """Return the ratio of the means of two quantities, both (n,), measured on the same items.

    The standard error is correct to first order: that of the mean of ``above - ratio * below``,
    divided by the mean of ``below``.

    Raises
    ------
    Undefined
        If the mean of ``below`` is not positive; ``nothing`` is the reason.
    """
    mean = float(below.double().mean()) if len(below) else 0.0
    if not mean > 0:
        raise Undefined(nothing)
    ratio = float(above.double().mean()) / mean
    spread = Value.of((above.double() - ratio * below.double()) / mean)
    return Value(ratio, spread.stderr, spread.n)


@dataclass(frozen=True)
class LaplacianRatio(Metric):
    """Sharpness: Laplacian energy of the reconstructions relative to that of the images.

    It is the ratio of totals over all images. It is below 1 if edges are blurred. Noise and ringing
    increase it as well, so a value above 1 is not better.
    """

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), 1 for the images themselves"
    title: ClassVar[str] = "Laplacian energy over the images'"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "laplacian_ratio"

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Return the ratio of totals; the standard error is over the images."""
        check_paired(artefact)
        real, generated = (
            ctx.batched(laplacian_energy, images) for images in (artefact.real, artefact.generated)
        )
        return ratio_of_means(generated, real, "the images have no edges")


@dataclass(frozen=True)
class VarianceRatio(Metric):
    """Total variance of the reconstructions relative to that of the images.

    The total variance is the variance of each pixel over the images, summed over pixels and
    channels, which is the trace of the covariance. The missing part is the variance that the code
    does not explain.
    """

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), 1 for the images themselves"
    title: ClassVar[str] = "Variance of pixels over the images'"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "variance_ratio"

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Return the ratio of traces; the standard error is over the images, with fixed means."""
        check_paired(artefact)
        real, generated = (
            squared_error(images, images.double().mean(0, keepdim=True))
            for images in (artefact.real, artefact.generated)
        )
        return ratio_of_means(generated, real, "the images are all the same")


def drawn(artefact: ComparedImages) -> tuple[Tensor, Tensor]:
    """Return images (m, c, h, w) and their draws (m, k, c, h, w), both in [0, 1].

    Raises
    ------
    Undefined
        If the method decodes deterministically.
    """
    if artefact.samples is None:
        raise Undefined("decoding is deterministic: there are no samples")
    check_images(real=artefact.real, samples=artefact.samples)
    return artefact.real[: len(artefact.samples)], artefact.samples


def pixel_variance(samples: Tensor) -> Tensor:
    """Return the unbiased variance over draws, averaged over pixels, (m, k, c, h, w) to (m,)."""
    return samples.double().var(1).flatten(1).mean(1)


@dataclass(frozen=True)
class SampleMSERatio(Metric):
    r"""Squared error of one draw of a random decoder, divided by that of the mean of its draws.

    With m and v the mean and variance of the draws for a code, :math:`E|x - y|^2 / E|x - m|^2 = 1 +
    v / E|x - m|^2`: It is 1 for a deterministic decoder, and exactly 2 if the draws have the
    distribution of the images with that code (posterior sampling), because x and y are then
    independent samples of one distribution. Both parts are estimated without bias, since the error
    of the average of k draws is too large by v / k.
    """

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[1, inf), 2 for perfect posterior sampling"
    title: ClassVar[str] = "Error of a sample over the error of the mean"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "sample_mse_ratio"

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Return the ratio of means over images; the standard error is over them."""
        real, samples = drawn(artefact)
        variance = pixel_variance(samples)
        of_mean = squared_error(real, samples.double().mean(1)) - variance / samples.shape[1]
        nothing = "the mean of the draws has no error beyond that of its estimate"
        return ratio_of_means(of_mean + variance, of_mean, nothing)


@dataclass(frozen=True)
class Compression(Metric):
    """Compression ratio: the dimension of an image over that of its code."""

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction",)
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "(0, inf)"
    title: ClassVar[str] = "Numbers of an image over numbers of its code"

    @property
    def id(self) -> str:
        """Name."""
        return "compression"

    def compute(self, artefact: ComparedImages, ctx: ScoreContext) -> Value:
        """Return the ratio; n is the dimension of the code."""
        if artefact.code_dimension is None:
            raise Undefined("these images come from no code")
        k = artefact.code_dimension
        return Value(artefact.real[0].numel() / k, None, k)
