"""Pixel-wise metrics of translated images: the distance they moved and their variation."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.data import ImagePair
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images
from otbench.metrics.fidelity import pixel_variance
from otbench.metrics.frechet import frechet_distance
from otbench.metrics.pixel import squared_error
from otbench.metrics.weak_maps import plan_file
from otbench.metrics.weak_structure import spread_ratio
from otbench.ot.discrete.weak import discrete_answer

PLANNED = 1000
"""Largest number of images of each side, the first ones, between which the exact plan is
computed."""

MOMENTS = 2000
"""Largest number of training images of each side from which the bound's moments are estimated,
which takes 4 s at 32x32 in colour."""

PAIRED = 1000
"""Largest number of images of each side, the first ones, whose pairwise distances are computed."""


class TranslationMetric(Metric):
    """Base of the metrics of the task ``translation``: images in [0, 1]."""

    tasks: ClassVar[tuple[str, ...]] = ("translation",)

    def compute(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Check the images and compute the value.

        Raises
        ------
        ValueError
            If a stack of images lies outside [0, 1].
        """
        check_translated(artefact)
        return self.measure(artefact, ctx)

    @abstractmethod
    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Compute the value for images in [0, 1]; see `Metric.compute`."""


def check_translated(artefact: Translated) -> None:
    """Check that images are in [0, 1], with one translated image for each source image.

    Raises
    ------
    ValueError
        If they are not.
    """
    check_images(
        real=artefact.real,
        generated=artefact.generated,
        source=artefact.source,
        again=artefact.again,
    )
    if artefact.samples is not None:
        check_images(samples=artefact.samples)
    if artefact.generated.shape != artefact.source.shape:
        raise ValueError(
            f"translated images {tuple(artefact.generated.shape)} and images of the source "
            f"{tuple(artefact.source.shape)} differ in shape"
        )


def pairwise_ratio(generated: Tensor, real: Tensor) -> float:
    """Return the mean distance of two translated images over that of two target images.

    Parameters
    ----------
    generated, real : Tensor, shape (n, c, h, w), (m, c, h, w)

    Raises
    ------
    Undefined
        If either side has a single image, or the target's images are all the same.
    """
    if min(len(generated), len(real)) < 2:
        raise Undefined("a single image has no pair")
    return spread_ratio(generated.flatten(1).double(), real.flatten(1).double())


@dataclass(frozen=True)
class PairwiseRatio(TranslationMetric):
    """Mean Euclidean distance of two translated images over that of two target images.

    It is 1 if the target is reached. Below 0.5 a map counts as collapsed.
    """

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), 1 for the target itself"
    title: ClassVar[str] = "Distance of two translated images over the target's"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "pairwise_ratio"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Average over all pairs of each side; n is the number of translated images."""
        generated = artefact.generated[:PAIRED]
        return Value(pairwise_ratio(generated, artefact.real[:PAIRED]), None, len(generated))


@dataclass(frozen=True)
class TranslationCost(TranslationMetric):
    r"""Mean squared displacement of images, :math:`\|x - T(x)\|^2 / d`.

    The ratio is relative to the cost of the exact plan between the same source images and as many
    test images of the target (POT's network simplex), which is the least cost of reaching exactly
    those images. Above 1 a map is not optimal. Below 1 it either does not reach the target, which
    coverage shows, or is cheaper than the plan: a plan between a thousand images costs far more
    than one between their distributions, because the optimal image of x is not among them.

    The bound is Gelbrich's, the least cost between any two distributions with the means and
    covariances of the two training splits (`frechet_distance` of the pixels of `MOMENTS` images per
    side; with fewer images it is too large, by a few percent at 2,000). A map that costs less has
    not reached the mean and covariance of the target, so its low cost is not an advantage.

    Parameters
    ----------
    of : {"ratio", "bound", "mean"}
        Relative to the plan's cost, relative to the bound, or in squared intensities.
    """

    of: Literal["ratio", "bound", "mean"] = "ratio"

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf)"
    title: ClassVar[str] = "Squared displacement of images"

    @property
    def id(self) -> str:
        """Name with the quantity, and the largest number of images for plan or bound."""
        suffix = {"ratio": f",n={PLANNED}", "bound": f",n={MOMENTS}", "mean": ""}[self.of]
        return f"translation_cost[{self.of}{suffix}]"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Average over images; the standard error is over them, with plan or bound fixed."""
        if self.of == "mean":
            return Value.of(squared_error(artefact.source, artefact.generated))
        if self.of == "bound":
            bound = ctx.once("gelbrich-bound", lambda: pair_bound(ctx.data), of=ctx.data)
            if not bound > 0:
                raise Undefined("source and target have the same mean and covariance")
            return Value.of(squared_error(artefact.source, artefact.generated) / bound)
        n = min(PLANNED, len(artefact.source), len(artefact.real))
        source, target = artefact.source[:n], artefact.real[:n]
        least = ctx.once("plan-cost", lambda: plan_cost(source, target), of=artefact)
        if not least > 0:
            raise Undefined("source and target are the same images: the plan costs nothing")
        return Value.of(squared_error(source, artefact.generated[:n]) / least)


def plan_cost(source: Tensor, target: Tensor) -> float:
    """Return the mean squared difference per pixel under the exact plan between two stacks.

    POT solves for the plan on the CPU. Results for 200 images or more are stored in the cache
    folder.

    Parameters
    ----------
    source, target : Tensor, shape (n, c, h, w), (m, c, h, w)
    """
    x, y = (images.flatten(1).double().numpy(force=True) for images in (source, target))
    # The cost of `otbench.ot.discrete.weak` is half the squared distance.
    return 2 * discrete_answer(x, y, 0.0, plan_file(x, y, 0.0)).cost / x.shape[1]


def gelbrich_bound(source: Tensor, target: Tensor) -> float:
    """Return the least mean squared difference per pixel that the first two moments allow.

    Parameters
    ----------
    source, target : Tensor, shape (n, c, h, w), (m, c, h, w)

    References
    ----------
    Gelbrich, M. (1990). On a formula for the L2 Wasserstein metric between measures on Euclidean
    and Hilbert spaces. Mathematische Nachrichten 147.
    """
    return frechet_distance(source.flatten(1), target.flatten(1)) / source[0].numel()


def pair_bound(pair: ImagePair) -> float:
    """Return `gelbrich_bound` of the training splits, with at most `MOMENTS` images of each."""
    sides = (pair.source_images.train, pair.target_images.train)
    return gelbrich_bound(*(side.sample(MOMENTS).images for side in sides))


@dataclass(frozen=True)
class Diversity(TranslationMetric):
    r"""Conditional variance of a map relative to the target's variance.

    :math:`E\,\mathrm{Var}(T(x, \cdot)) / \mathrm{Var}(Y)`, both unbiased and per pixel, from eight
    draws for each of 64 images. It is 0 if the noise is ignored or absent, and 1 if the image is
    ignored.
    """

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf)"
    title: ClassVar[str] = "Conditional variance over the target's variance"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "diversity"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Average over images; the standard error treats the target's variance as fixed."""
        if artefact.samples is None:
            return Value(0.0, None, len(artefact.generated))
        if artefact.samples.shape[1] < 2 or len(artefact.real) < 2:
            raise Undefined("a variance needs two draws of each image, and two of the target")
        total = float(artefact.real.double().var(0).mean())
        if not total > 0:
            raise Undefined("the target is a single image: it has no variance")
        return Value.of(pixel_variance(artefact.samples) / total)


@dataclass(frozen=True)
class RangeExcess(TranslationMetric):
    """Mean distance of translated pixels from [0, 1] before clipping.

    It has no direction, because blank images and copies of the source never leave [0, 1].
    """

    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), intensity"
    title: ClassVar[str] = "Distance of translated pixels from [0, 1]"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "range_excess"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Return the distance that the task measured."""
        return Value(artefact.excess, None, len(artefact.generated))
