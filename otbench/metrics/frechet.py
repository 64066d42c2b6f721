"""Distances between two sets of images through the features of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface.artefacts import ComparedImages, Paths
from otbench.interface.data import ImageDataset, ImagePair
from otbench.interface.metric import Degenerate, Direction, Metric, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.metrics import features

ROWS = 1024
"""Number of rows of a matrix of kernel values that are in memory at once."""


def frechet_distance(a: Tensor, b: Tensor) -> float:
    r"""Return the squared 2-Wasserstein distance of the Gaussians fitted to two samples.

    .. math::
        |\mu_a - \mu_b|^2 + \operatorname{tr}(\Sigma_a) + \operatorname{tr}(\Sigma_b)
        - 2 \operatorname{tr} (\Sigma_a \Sigma_b)^{1/2}

    (Dowson & Landau 1982). With :math:`\Sigma = R^\top R`, R the triangular factor of the centred
    sample over :math:`\sqrt{n - 1}`, the last trace is the sum of the singular values of :math:`R_a
    R_b^\top`. No covariance matrix and no square root of eigenvalues is computed, so singular
    covariances (fewer items than features) cause no loss of precision.

    Parameters
    ----------
    a, b : Tensor, shape (n, d), (m, d)
        Features; n and m at least 2. Computed in float64.
    """
    if len(a) < 2 or len(b) < 2:
        raise Undefined("a covariance needs at least 2 images on each side")
    a, b = a.double(), b.double()
    mean_a, mean_b = a.mean(0), b.mean(0)
    root_a, root_b = (
        torch.linalg.qr((x - mean) / (len(x) - 1) ** 0.5, mode="r").R
        for x, mean in ((a, mean_a), (b, mean_b))
    )
    cross = torch.linalg.svdvals(root_a @ root_b.T).sum()
    spread = root_a.square().sum() + root_b.square().sum()
    # For equal samples rounding can give a value slightly below 0.
    return max(0.0, float((mean_a - mean_b).square().sum() + spread - 2 * cross))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1).pow(3)


def _kernel_means(a: Tensor, b: Tensor, same: bool) -> tuple[Tensor, float]:
    """Return the mean of the cubic kernel over b for each row of a, and its mean square.

    If both samples are the same, the diagonal is excluded.
    """
    sums = []
    for part in a.split(ROWS):
        values = _kernel(part, b)
        sums.append(torch.stack([values.sum(1), values.square().sum(1)]))
    rows, squared = torch.cat(sums, 1)
    squares, count = float(squared.sum()), len(b)
    if same:
        own = (a.square().mean(1) + 1).pow(3)
        rows, squares, count = rows - own, squares - float(own.square().sum()), count - 1
    return rows / count, squares / (len(a) * count)


def _paired_variance(a: Tensor, b: Tensor) -> float:
    """Return the variance of the squared MMD of two samples that are paired row by row.

    It is the variance of a U-statistic of order 2 on the pairs, with the kernel k(x, x') + k(y, y')
    - k(x, y') - k(x', y).
    """
    n = len(a)
    sums = []
    for start, x, y in zip(range(0, n, ROWS), a.split(ROWS), b.split(ROWS), strict=True):
        values = _kernel(x, a) + _kernel(y, b) - _kernel(x, b) - _kernel(y, a)
        own = torch.arange(len(x), device=x.device)
        values[own, start + own] = 0
        sums.append(torch.stack([values.sum(1), values.square().sum(1)]))
    rows, squared = torch.cat(sums, 1) / (n - 1)
    rest = float(squared.mean() - 2 * rows.square().mean() + rows.mean().square())
    second = 2 * max(0.0, rest) / (n * (n - 1))
    return max(4 * float(rows.var()) / n - second, second)


def kernel_distance(a: Tensor, b: Tensor, paired: bool = False) -> tuple[float, float]:
    r"""Return the unbiased squared MMD of two samples with its standard error.

    The kernel is :math:`(x^\top y / d + 1)^3` (Binkowski, Sutherland, Arbel & Gretton 2018, arXiv
    1801.01401, section 4). The U-statistic is over the whole samples, whereas the release averages
    over random subsets; it needs no random draw and has the smallest variance. The standard error
    includes the terms of first and second order of the U-statistic's variance (Serfling 1980,
    section 5.2); for equal distributions the first one vanishes.

    Parameters
    ----------
    a, b : Tensor, shape (n, d), (m, d)
        Features; n and m at least 2. Computed in float64.
    paired : bool
        Whether each row of ``b`` was computed from the same row of ``a``. Otherwise the samples are
        considered independent. Only the standard error depends on this.
    """
    n, m = len(a), len(b)
    if n < 2 or m < 2:
        raise Undefined("the unbiased estimate needs at least 2 images on each side")
    a, b = a.double(), b.double()
    within_a, square_a = _kernel_means(a, a, same=True)
    within_b, square_b = _kernel_means(b, b, same=True)
    (from_a, square), (from_b, _) = (_kernel_means(*x, same=False) for x in ((a, b), (b, a)))
    value = float(within_a.mean() + within_b.mean() - 2 * from_a.mean())
    slope_a, slope_b = within_a - from_a, within_b - from_b
    if paired:
        return value, _paired_variance(a, b) ** 0.5
    # Variances of the kernel after the means of its rows and columns are subtracted:
    rest_a, rest_b, rest = (
        max(0.0, mean_square - float(u.square().mean() + v.square().mean() - u.mean() * v.mean()))
        for mean_square, u, v in (
            (square_a, within_a, within_a),
            (square_b, within_b, within_b),
            (square, from_a, from_b),
        )
    )
    second = 2 * rest_a / (n * (n - 1)) + 2 * rest_b / (m * (m - 1)) + 4 * rest / (n * m)
    # The variance of the slopes includes the second order twice, as they are means over samples.
    variance = 4 * float(slope_a.var() / n + slope_b.var() / m) - second
    return value, max(variance, second) ** 0.5


@dataclass(frozen=True)
class FeatureDistance(Metric):
    """A distance between real and generated images, as sets, in a space of features.

    For reconstruction it compares test images with their reconstructions; for interpolation, test
    images with the middle frames of `ScoreContext.midpoints` random pairs; for translation, test
    images of the target with the translated test images of the source. On interpolation it has no
    direction, because a path that repeats its first image in the middle would win.

    Parameters
    ----------
    features : str
        ``lenet`` (84 features of a small classifier trained here on MNIST's training split, which
        converts RGB to luminance; on other data it is a fixed extractor for comparing methods and
        is not perceptual) or ``inception-2048`` (the network of the published FID; 64, 192 and 768
        are earlier layers, and ``inception`` means 2048).
    n : int
        Largest number of images of each side, the first ones; 0 for all. If set, it is part of the
        id.
    """

    features: str = "lenet"
    n: int = parameter(0, "images of each side; 0: all", low=0)

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction", "interpolation", "translation")
    direction: ClassVar[Direction] = "lower"
    blind_to: ClassVar[tuple[Degenerate, ...]] = ("shuffled",)

    def direction_on(self, task: str) -> Direction:
        """Return ``neutral`` on interpolation, which a copy of an end would win."""
        return "neutral" if task == "interpolation" else self.direction

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", features.canonical(self.features))

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if self.n == 1:
            yield "n must be 0 (all) or at least 2, got 1"

    def protocol(self, name: str) -> str:
        """Return a name with the protocol in brackets."""
        return f"{name}[{self.features}{f',n={self.n}' if self.n else ''}]"

    @property
    def assets(self) -> tuple[str, ...]:
        """The weights of the extractor, unless they are included."""
        return features.assets(self.features)

    def missing(self, data: ImageDataset | ImagePair) -> str | None:
        """Return a reason if the extractor cannot read the images."""
        return features.missing(self.features, data)

    def feature_sets(
        self, artefact: ComparedImages | Paths, ctx: ScoreContext
    ) -> tuple[Tensor, Tensor]:
        """Return the features of the real and the generated images."""
        pairs = artefact.midpoints if isinstance(artefact, Paths) else artefact
        if pairs is None:
            raise ValueError("these paths came without midpoints to compare with test images")

        def first(images: Tensor) -> Tensor:
            if not self.n:
                return images
            return ctx.once(f"first/{self.n}", lambda: images[: self.n], of=images)

        return (
            features.features_of(first(pairs.real), self.features, ctx, keep=True),
            features.features_of(first(pairs.generated), self.features, ctx),
        )


@dataclass(frozen=True)
class FID(FeatureDistance):
    """Fréchet distance of the features (Heusel et al. 2017, arXiv 1706.08500, equation 6).

    It is biased upwards for few images. Compare only values with the same n, which is in the
    record.
    """

    range: ClassVar[str] = "[0, inf), squared feature units"
    title: ClassVar[str] = "Fréchet distance of features"

    @property
    def id(self) -> str:
        """Name with the extractor."""
        return self.protocol("fid")

    def compute(self, artefact: ComparedImages | Paths, ctx: ScoreContext) -> Value:
        """Compare the sets; n is the number of generated images."""
        real, generated = self.feature_sets(artefact, ctx)
        return Value(frechet_distance(real, generated), None, len(generated))


@dataclass(frozen=True)
class KID(FeatureDistance):
    """Kernel distance of the features, unbiased for all n; see `kernel_distance`."""

    features: str = "inception-2048"

    range: ClassVar[str] = "real, near 0 for equal laws (unbiased, so it may be negative)"
    title: ClassVar[str] = "Kernel distance of features"

    @property
    def id(self) -> str:
        """Name with the extractor."""
        return self.protocol("kid")

    def compute(self, artefact: ComparedImages | Paths, ctx: ScoreContext) -> Value:
        """Compare the sets; n is the number of generated images."""
        real, generated = self.feature_sets(artefact, ctx)
        paired = isinstance(artefact, ComparedImages) and artefact.paired
        value, stderr = kernel_distance(real, generated, paired)
        return Value(value, stderr, len(generated))
