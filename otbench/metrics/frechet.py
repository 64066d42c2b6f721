"""Distances between two sets of images through the features of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface.artefacts import ComparedImages, Paths
from otbench.interface.data import ImageDataset, ImagePair
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.metrics import features


def frechet_distance(a: Tensor, b: Tensor) -> float:
    r"""Return the squared 2-Wasserstein distance of the Gaussians fitted to two samples.

    .. math::
        |\mu_a - \mu_b|^2 + \operatorname{tr}(\Sigma_a) + \operatorname{tr}(\Sigma_b)
        - 2 \operatorname{tr} (\Sigma_a \Sigma_b)^{1/2}

    (Dowson & Landau 1982). With :math:`\Sigma = R^\top R`, R the triangular factor of the centred
    sample over :math:`\sqrt{n - 1}`, the last trace is the sum of the singular values of
    :math:`R_a R_b^\top`. No covariance is formed and no root taken of its eigenvalues, so singular
    covariances (fewer items than features) lose no digits.

    Parameters
    ----------
    a, b : Tensor, shape (n, d), (m, d)
        Features; n and m at least 2. Computed in float64.
    """
    if len(a) < 2 or len(b) < 2:
        raise Undefined("a covariance needs at least 2 images on either side")
    a, b = a.double(), b.double()
    mean_a, mean_b = a.mean(0), b.mean(0)
    root_a, root_b = (
        torch.linalg.qr((x - mean) / (len(x) - 1) ** 0.5, mode="r").R
        for x, mean in ((a, mean_a), (b, mean_b))
    )
    cross = torch.linalg.svdvals(root_a @ root_b.T).sum()
    spread = root_a.square().sum() + root_b.square().sum()
    # Rounding can leave equal samples a hair below 0.
    return max(0.0, float((mean_a - mean_b).square().sum() + spread - 2 * cross))


def _kernel_rows(a: Tensor, b: Tensor, same: bool) -> Tensor:
    # Sums of the cubic kernel over b for each row of a, without the diagonal if both are one.
    rows = torch.cat([(part @ b.T / a.shape[1] + 1).pow(3).sum(1) for part in a.split(1024)])
    return rows - (a.square().mean(1) + 1).pow(3) if same else rows


def kernel_distance(a: Tensor, b: Tensor) -> tuple[float, float]:
    r"""Return the unbiased squared MMD of two samples with its standard error.

    Kernel :math:`(x^\top y / d + 1)^3` (Binkowski, Sutherland, Arbel & Gretton 2018, arXiv
    1801.01401, section 4), the U-statistic over the whole samples rather than the mean over random
    subsets of the release: no draw, and the smallest variance. The standard error is that of the
    first-order projection of the U-statistic, the two samples taken as independent.

    Parameters
    ----------
    a, b : Tensor, shape (n, d), (m, d)
        Features; n and m at least 2. Computed in float64.
    """
    n, m = len(a), len(b)
    if n < 2 or m < 2:
        raise Undefined("the unbiased estimate needs at least 2 images on either side")
    a, b = a.double(), b.double()
    within_a = _kernel_rows(a, a, same=True) / (n - 1)
    within_b = _kernel_rows(b, b, same=True) / (m - 1)
    from_a, from_b = _kernel_rows(a, b, same=False) / m, _kernel_rows(b, a, same=False) / n
    value = within_a.mean() + within_b.mean() - 2 * from_a.mean()
    variance = (within_a - from_a).var() / n + (within_b - from_b).var() / m
    return float(value), float(2 * variance.sqrt())


@dataclass(frozen=True)
class FeatureDistance(Metric):
    """A distance between real and generated images, as sets, in a space of features.

    For reconstruction it compares the test images with their reconstructions; for interpolation,
    the test images with the middle frames of `ScoreContext.midpoints` random pairs; for
    translation, test images of the target with the carried test images of the source.

    Parameters
    ----------
    features : str
        ``lenet`` (84 features of a small classifier trained here on MNIST's training split; RGB is
        turned to luminance; for other data a fixed extractor all the same, good for comparing
        methods, with no claim to perception), ``inception-2048`` (the network of the published
        FID; 64, 192 and 768 are its earlier taps, ``inception`` is 2048).
    n : int
        Images of either side at most, the first ones; 0 for all. The id carries it when set.
    """

    features: str = "lenet"
    n: int = parameter(0, "images of each side; 0: all", low=0)

    tasks: ClassVar[tuple[str, ...]] = ("reconstruction", "interpolation", "translation")
    direction: ClassVar[Direction] = "lower"

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", features.canonical(self.features))

    def conflicts(self) -> Iterator[str]:
        """Yield what is wrong between parameters."""
        if self.n == 1:
            yield "n must be 0 (all) or at least 2, got 1"

    def protocol(self, name: str) -> str:
        """Return a name with the protocol in brackets."""
        return f"{name}[{self.features}{f',n={self.n}' if self.n else ''}]"

    @property
    def assets(self) -> tuple[str, ...]:
        """The weights of the extractor, where they are not shipped."""
        return features.assets(self.features)

    def missing(self, data: ImageDataset | ImagePair) -> str | None:
        """Refuse images that the extractor cannot read."""
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

    Biased upwards for few images: only numbers of the same n compare, and n is in the record.
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
    """Kernel distance of the features: unbiased at any n, see `kernel_distance`."""

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
        value, stderr = kernel_distance(real, generated)
        return Value(value, stderr, len(generated))
