"""The results that tasks pass to metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from otbench.interface.task import BadOutput


@dataclass(frozen=True)
class ComparedImages:
    """Images and what a method made of them, for metrics of pairs and of sets.

    Attributes
    ----------
    real, generated : Tensor, shape (n, c, h, w)
        In [0, 1], on the CPU or the device; ``generated[i]`` belongs to ``real[i]`` unless
        ``paired`` is False.
    paired : bool
    samples : Tensor, shape (m, k, c, h, w), or None
        For the first m of the real images, k draws from the method's random decoder; None where
        decoding is deterministic.
    code_dimension : int or None
        Numbers in the code that each image was generated from, where there is one.
    """

    real: Tensor
    generated: Tensor
    paired: bool = True
    samples: Tensor | None = None
    code_dimension: int | None = None


PATH_TASKS = ("interpolation", "geodesic", "obstacles", "limited-data")
"""The tasks that hand `Paths` to their metrics."""


@dataclass(frozen=True)
class Paths:
    """Interpolations between pairs of images.

    Attributes
    ----------
    x0, x1 : Tensor, shape (n, c, h, w)
        The true end images, in [0, 1].
    frames : Tensor, shape (n, k, c, h, w)
        The paths as the method draws them at ``times``, in [0, 1].
    times : Tensor, shape (k,)
        Equally spaced, from 0 to 1.
    midpoints : ComparedImages or None
        Test images and the middle frames of many paths, unpaired, where a task draws them.
    """

    x0: Tensor
    x1: Tensor
    frames: Tensor
    times: Tensor
    midpoints: ComparedImages | None = None


def between_true_ends(x0: Tensor, x1: Tensor, frames: Tensor) -> Tensor:
    """Put the true ends (n, c, h, w) in the place of the first and last of (n, k, c, h, w)."""
    return torch.cat([x0.unsqueeze(1), frames[:, 1:-1], x1.unsqueeze(1)], 1)


@dataclass(frozen=True)
class KnownPaths(Paths):
    """Paths whose answer is known.

    Attributes
    ----------
    exact : Tensor, shape (n, k, c, h, w), float64
        The 2-Wasserstein geodesics at ``times``, each colour a density of its own. Only their
        shape counts, not their scale: a pixel may exceed 1.
    """

    exact: Tensor = field(kw_only=True)


@dataclass(frozen=True)
class WalledPaths(Paths):
    """Paths among walls; ``frames`` have the walls set to 0.

    Attributes
    ----------
    drawn : Tensor, shape (n, k, c, h, w)
        The frames with what the method puts on walls, in [0, 1].
    obstacles : Tensor, shape (h, w), bool
        True where no mass may be.
    """

    drawn: Tensor = field(kw_only=True)
    obstacles: Tensor = field(kw_only=True)


@dataclass(frozen=True)
class Barycenters:
    """Weighted averages of a few corner images.

    Attributes
    ----------
    corners : Tensor, shape (m, c, h, w)
        In [0, 1].
    weights : Tensor, shape (k, m)
        Not negative; the rows sum to 1.
    images : Tensor, shape (k, c, h, w)
        What the method draws, in [0, 1].
    exact : Tensor, shape (k, c, h, w), or None
        The exact 2-Wasserstein barycentres, where they are known; only their shape counts.
    """

    corners: Tensor
    weights: Tensor
    images: Tensor
    exact: Tensor | None = None


@dataclass(frozen=True)
class Predictions:
    """Class predictions on the test split from frozen codes.

    Attributes
    ----------
    predicted, labels : Tensor, shape (n,), int64
    dimension : int
        Numbers in a code.
    train_size : int
        Training codes that the classifier learned from.
    """

    predicted: Tensor
    labels: Tensor
    dimension: int
    train_size: int


@dataclass(frozen=True)
class LatentCodes:
    """Codes of images with their labels.

    Attributes
    ----------
    train, test : Tensor, shape (n, d), (m, d)
        float32.
    labels : Tensor, shape (m,), int64
        Of ``test``.
    classes : int
        How many classes there are.
    train_labels : Tensor, shape (n,), int64, or None
        Of ``train``; for the probe alone.
    """

    train: Tensor
    test: Tensor
    labels: Tensor
    classes: int
    train_labels: Tensor | None = None


@dataclass(frozen=True)
class HeldOut:
    """Points that no method is trained on, each of shape (n, d).

    Attributes
    ----------
    source, target : Tensor
        Independent samples of the two distributions.
    again : Tensor
        A second sample of the target, for what sampling alone contributes to a distance.
    images : Tensor or None
        Row by row where the optimal map carries ``source``; also a sample of the target.
    """

    source: Tensor
    target: Tensor
    again: Tensor
    images: Tensor | None


@dataclass(frozen=True)
class Transport(HeldOut):
    """Held-out points and what a method made of them.

    Attributes
    ----------
    pushed : Tensor, shape (n, d)
        Where the method carries ``source``.
    push_seconds : float
        Wall-clock, after a first call that is not counted.
    pulled : Tensor, shape (m, d), BadOutput or None
        Where the method carries ``images`` back to or, where they are not known, the first `BATCH`
        points of ``target``; what was wrong with that; or None where it has no inverse.
    dual : float, BadOutput or None
        The method's estimate of half the squared distance from ``source`` and ``images`` (or
        ``target``), what was wrong with it, or None where it has no dual.
    returned : Tensor, shape (m, n), BadOutput or None
        Where the method pushes the first pulled points again, at most `BATCH` of them; what was
        wrong with that; or None where none were pulled.
    """

    pushed: Tensor
    push_seconds: float
    pulled: Tensor | BadOutput | None
    dual: float | BadOutput | None
    returned: Tensor | BadOutput | None = None

    @property
    def arrivals(self) -> Tensor:
        """The points of the target that ``pulled`` belong to, row by row, and perhaps more."""
        return self.target if self.images is None else self.images


@dataclass(frozen=True)
class WeakTransport:
    """Held-out points and the laws that a method carries them to.

    Attributes
    ----------
    source, target : Tensor, shape (m, d)
        Independent samples.
    variance : float
        Total variance of the target, by all held-out points.
    draws : Tensor, shape (m, k, d)
        k is 1 for a deterministic map.
    barycentric : Tensor, shape (m, d)
        The method's own barycentric map.
    gamma : float or None
        Of the weak quadratic cost that the method minimises, where it says so.
    losses : Tensor, shape (steps,), or None
        The potential's, of every step of training.
    """

    source: Tensor
    target: Tensor
    variance: float
    draws: Tensor
    barycentric: Tensor
    gamma: float | None
    losses: Tensor | None


@dataclass(frozen=True)
class Translated(ComparedImages):
    """Test images of the target as ``real`` and the carried test images as ``generated``.

    Attributes
    ----------
    source : Tensor, shape (n, c, h, w)
        The images that were carried, row by row; in [0, 1] like all others.
    again : Tensor, shape (k, c, h, w)
        Other images of the target (its validation split), for what sampling alone contributes.
    excess : float
        Mean distance of the carried pixels from [0, 1] before they were clipped.
    labels : Tensor, shape (m,), int64, or None
        Modes of ``real``, where there are labels.
    masks : Tensor, shape (n, h, w), or None
        For each source image, the share of each pixel that belongs to the thing whose colour should
        survive; see `otbench.interface.data.ImagePair`.
    """

    source: Tensor = field(kw_only=True)
    again: Tensor = field(kw_only=True)
    excess: float = field(kw_only=True)
    labels: Tensor | None = field(default=None, kw_only=True)
    masks: Tensor | None = field(default=None, kw_only=True)
