"""Evenness of a path's motion from frame to frame.

None of these metrics measures whether the frames are good images, and a cross-fade is the most even
path, so most have no direction. Use them together with the energy gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import PATH_TASKS, Paths, between_true_ends
from otbench.interface.data import ImageDataset
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics import lpips
from otbench.metrics.base import check_images
from otbench.metrics.ssim import WINDOW, structural_similarity


def unevenness(steps: Tensor) -> Tensor:
    """Return the largest step over their sum, less 1/T: 0 for equal steps, 1 - 1/T for one jump.

    This has the form of ACAI's smoothness (Berthelot et al. 2018, section 4), for any kind of step.

    Parameters
    ----------
    steps : Tensor, shape (n, T)
        Non-negative lengths.

    Returns
    -------
    Tensor, shape (n,), float64
        A path that never moves (sum below 1e-12) scores as one jump.
    """
    steps = steps.double()
    total = steps.sum(1)
    moving = total > 1e-12
    share = torch.where(moving, steps.amax(1) / total.where(moving, 1), 1)
    return share - 1 / steps.shape[1]


def between_different_ends(artefact: Paths) -> Tensor:
    """Return the frames of the paths whose true ends differ; the other paths need not move.

    Raises
    ------
    Undefined
        If there are none.
    """
    apart = (artefact.x0 != artefact.x1).flatten(1).any(1)
    if not apart.any():
        raise Undefined("the two images of every pair are the same: nothing has to move")
    return artefact.frames if apart.all() else artefact.frames[apart.to(artefact.frames.device)]


def pixel_steps(frames: Tensor) -> Tensor:
    """Return the Euclidean distances, shape (n, k - 1), of adjacent frames (n, k, c, h, w)."""
    return frames.double().diff(dim=1).flatten(2).norm(dim=2)


@dataclass(frozen=True)
class AdjacentSSIM(Metric):
    """Structural similarity of adjacent frames: its mean or standard deviation along a path.

    This is a column of Feng & Strohmer 2024 (section 7). With ``ends="data"`` it follows their
    notebook, in which the true images replace the first and last frame, so the jumps between data
    and decoder count, and a model with worse reconstruction appears less even. With
    ``ends="drawn"`` only the path itself counts. The mean is legacy: it ranks an abrupt jump above
    a cross-fade and a cross-fade above the true geodesic, and it grows with the number of frames,
    so it has no direction. Two errors of their code are corrected: windows are two-dimensional and
    the data range is 1 (theirs: columns only, range 2). The standard deviation is that of the
    population (ddof 0). It is lower-is-better with the true images at the ends; with drawn ends it
    has no direction, because it is 0 for a path that stands still.

    Parameters
    ----------
    statistic : {"mean", "std"}
        Statistic over the adjacent frames of a path; it is then averaged over paths.
    ends : {"drawn", "data"}
        First and last frame: the method's own, or the true images (legacy).
    """

    statistic: Literal["mean", "std"] = "mean"
    ends: Literal["drawn", "data"] = "drawn"

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    range: ClassVar[str] = "mean: [-1, 1]; std: [0, 1]"
    title: ClassVar[str] = "Structural similarity of adjacent frames (mean, or data ends: legacy)"

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``lower`` for the standard deviation between true ends, else ``neutral``."""
        return "lower" if self.statistic == "std" and self.ends == "data" else "neutral"

    @property
    def id(self) -> str:
        """Name with statistic and end frames; legacy variants are marked."""
        legacy = ",legacy" if self.ends == "data" or self.statistic == "mean" else ""
        return f"adjacent_ssim[{self.statistic},{self.ends}{legacy}]"

    def missing(self, data: ImageDataset) -> str | None:
        """Return a reason if images are smaller than the window of 7 pixels."""
        side = min(data.image_shape[1:])
        return None if side >= WINDOW else f"images of side {side} are smaller than the window"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        check_images(x0=artefact.x0, x1=artefact.x1, frames=artefact.frames)

        def along(x0: Tensor, x1: Tensor, frames: Tensor) -> Tensor:
            path = between_true_ends(x0, x1, frames) if self.ends == "data" else frames
            before, after = path[:, :-1].flatten(0, 1), path[:, 1:].flatten(0, 1)
            return structural_similarity(before, after).view(len(path), -1)

        similarity = ctx.once(
            f"adjacent-ssim/{self.ends}",
            lambda: ctx.batched(along, artefact.x0, artefact.x1, artefact.frames),
            of=artefact,
        )
        if self.statistic == "mean":
            return Value.of(similarity.mean(1))
        return Value.of(similarity.std(1, correction=0))


@dataclass(frozen=True)
class MaxStep(Metric):
    """Largest step of a path between adjacent frames, in Euclidean distance of pixels.

    The value is the `unevenness` of the path as drawn, including its own end frames. A path that
    never moves between different images scores as one jump. It has no direction, because a
    cross-fade moves in equal steps, whereas the steps of the true path differ slightly.
    """

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, 1 - 1/T], share of the path's length"
    title: ClassVar[str] = "Excess of the largest pixel step"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "max_step"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths between different images; the standard error is over them."""
        check_images(frames=artefact.frames)
        return Value.of(unevenness(ctx.batched(pixel_steps, between_different_ends(artefact))))


@dataclass(frozen=True)
class LPIPSSmoothness(Metric):
    """Largest step of a path between adjacent frames, in perceptual distance.

    Like `MaxStep`, with LPIPS (AlexNet) between the frames instead of the Euclidean distance: 0 if
    each step is the same perceptual change. It has no direction, for the same reason.
    """

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, 1 - 1/T], share of the path's length"
    title: ClassVar[str] = "Excess of the largest perceptual step"

    @property
    def id(self) -> str:
        """Name with the network."""
        return "lpips_smoothness[alex]"

    @property
    def assets(self) -> tuple[str, ...]:
        """The weights of the network and its heads."""
        return (lpips.ASSET,)

    def missing(self, data: ImageDataset) -> str | None:
        """Return a reason if AlexNet cannot read the images."""
        return lpips.too_small(data)

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths between different images; the standard error is over them."""
        check_images(frames=artefact.frames)
        distance = lpips.perceptual(ctx)
        return Value.of(unevenness(ctx.batched(distance.steps, between_different_ends(artefact))))
