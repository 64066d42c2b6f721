"""The results that tasks pass to metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from otbench.interface.task import BadOutput


@dataclass(frozen=True)
class ComparedImages:
    """Images and a method's outputs for them, for metrics of pairs and of sets.

    Attributes
    ----------
    real, generated : Tensor, shape (n, c, h, w)
        In [0, 1], on the CPU or the device; ``generated[i]`` belongs to ``real[i]`` unless
        ``paired`` is False.
    paired : bool
    samples : Tensor, shape (m, k, c, h, w), or None
        k draws from the method's random decoder for each of the first m real images; None if
        decoding is deterministic.
    code_dimension : int or None
        Dimension of the code that each image was generated from; None if there is no code.
    """

    real: Tensor
    generated: Tensor
    paired: bool = True
    samples: Tensor | None = None
    code_dimension: int | None = None


PATH_TASKS = ("interpolation", "geodesic", "obstacles", "limited-data")
"""The tasks that pass `Paths` to their metrics."""


@dataclass(frozen=True)
class Paths:
    """Interpolations between pairs of images.

    Attributes
    ----------
    x0, x1 : Tensor, shape (n, c, h, w)
        The true end images, in [0, 1].
    frames : Tensor, shape (n, k, c, h, w)
        The frames that the method draws at ``times``, in [0, 1].
    times : Tensor, shape (k,)
        Equally spaced, from 0 to 1.
    midpoints : ComparedImages or None
        Test images and the middle frames of many paths, unpaired; None if the task draws none.
    """

    x0: Tensor
    x1: Tensor
    frames: Tensor
    times: Tensor
    midpoints: ComparedImages | None = None


def between_true_ends(x0: Tensor, x1: Tensor, frames: Tensor) -> Tensor:
    """Replace the first and last frames, (n, k, c, h, w), by the true end images, (n, c, h, w)."""
    return torch.cat([x0.unsqueeze(1), frames[:, 1:-1], x1.unsqueeze(1)], 1)


@dataclass(frozen=True)
class KnownPaths(Paths):
    """Paths for which the exact geodesics are known.

    Attributes
    ----------
    exact : Tensor, shape (n, k, c, h, w), float64
        The 2-Wasserstein geodesics at ``times``, each colour a separate density. Only their shape
        matters, not their scale: a pixel may exceed 1.
    """

    exact: Tensor = field(kw_only=True)


@dataclass(frozen=True)
class WalledPaths(Paths):
    """Paths around obstacles; ``frames`` are 0 on the obstacles.

    Attributes
    ----------
    drawn : Tensor, shape (n, k, c, h, w)
        The frames as the method draws them, including values on obstacles, in [0, 1].
    obstacles : Tensor, shape (h, w), bool
        True where mass is forbidden.
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
        Non-negative; each row sums to 1.
    images : Tensor, shape (k, c, h, w)
        The averages that the method draws, in [0, 1].
    exact : Tensor, shape (k, c, h, w), or None
        The exact 2-Wasserstein barycentres, up to scale; None if they are unknown.
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
        Dimension of a code.
    train_size : int
        Number of training codes that the classifier was fitted on.
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
        Labels of ``test``.
    classes : int
        Number of classes.
    train_labels : Tensor, shape (n,), int64, or None
        Labels of ``train``; only the probe uses them.
    """

    train: Tensor
    test: Tensor
    labels: Tensor
    classes: int
    train_labels: Tensor | None = None


@dataclass(frozen=True)
class HeldOut:
    """Points on which no method is trained, each tensor of shape (n, d).

    Attributes
    ----------
    source, target : Tensor
        Independent samples of the two distributions.
    again : Tensor
        A second sample of the target, to measure how much sampling contributes to a distance.
    images : Tensor or None
        Images of ``source`` under the optimal map, row by row; also a sample of the target. None
        if the map is unknown.
    """

    source: Tensor
    target: Tensor
    again: Tensor
    images: Tensor | None


@dataclass(frozen=True)
class Transport(HeldOut):
    """Held-out points and a method's results for them.

    A `BadOutput` in place of a result says why the method's output was rejected.

    Attributes
    ----------
    pushed : Tensor, shape (n, d)
        Images of ``source`` under the method's map.
    push_seconds : float
        Wall-clock time of the push, after a first call that is not counted.
    pulled : Tensor, shape (m, d), BadOutput or None
        Images under the inverse map of ``images`` or, if these are unknown, of the first `BATCH`
        points of ``target``. None if the method has no inverse.
    dual : float, BadOutput or None
        The method's estimate of half the squared distance from ``source`` and ``images`` (or
        ``target``). None if the method has no dual.
    returned : Tensor, shape (m, n), BadOutput or None
        The first pulled points, at most `BATCH`, pushed again. None if no points were pulled.
    """

    pushed: Tensor
    push_seconds: float
    pulled: Tensor | BadOutput | None
    dual: float | BadOutput | None
    returned: Tensor | BadOutput | None = None

    @property
    def arrivals(self) -> Tensor:
        """The target points that were pulled, row by row, possibly followed by others."""
        return self.target if self.images is None else self.images


@dataclass(frozen=True)
class WeakTransport:
    """Held-out points and the conditional distributions that a method maps them to.

    Attributes
    ----------
    source, target : Tensor, shape (m, d)
        Independent samples.
    variance : float
        Total variance of the target, estimated from all held-out points.
    draws : Tensor, shape (m, k, d)
        k is 1 for a deterministic map.
    barycentric : Tensor, shape (m, d)
        The method's own barycentric map.
    gamma : float or None
        Coefficient of the weak quadratic cost that the method minimises; None for another cost.
    losses : Tensor, shape (steps,), or None
        Loss of the potential at every training step; None if the method reports none.
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
    """Test images of the target as ``real``, translated test images as ``generated``.

    Attributes
    ----------
    source : Tensor, shape (n, c, h, w)
        The images that were translated, row by row; in [0, 1] like all others.
    again : Tensor, shape (k, c, h, w)
        Images of the target's validation split, to measure how much sampling contributes.
    excess : float
        Mean distance of the translated pixels from [0, 1] before clipping.
    labels : Tensor, shape (m,), int64, or None
        Modes of ``real``; None without labels.
    masks : Tensor, shape (n, h, w), or None
        For each source image, the share of each pixel that belongs to the object whose colour
        should be preserved; see `otbench.interface.data.ImagePair`.
    """

    source: Tensor = field(kw_only=True)
    again: Tensor = field(kw_only=True)
    excess: float = field(kw_only=True)
    labels: Tensor | None = field(default=None, kw_only=True)
    masks: Tensor | None = field(default=None, kw_only=True)
