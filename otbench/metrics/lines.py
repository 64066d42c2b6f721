"""ACAI's two scores of paths between images of a known circular family (their "lines").

Berthelot, Raffel, Roy & Goodfellow 2018, arXiv 1807.07543, section 4 and the evaluation in their
release, in two definitions: ``legacy`` as released, for comparison with printed numbers, and
``corrected``. The protocol has 16 frames for each of 256 pairs; the path's own first and last
frames count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import Paths
from otbench.interface.data import CircularFamily, ImageDataset
from otbench.interface.metric import Degenerate, Direction, Metric, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images

CANDIDATES = 8
"""Number of nearest members in single precision that are compared again in double precision."""

SHORTEST = 1e-4
"""Arc in radians below which a path has no smoothness (ACAI's constant)."""


@dataclass(frozen=True)
class Nearest:
    """The member of the family nearest to each frame.

    Attributes
    ----------
    distances : Tensor, shape (n, k), float64
        Cosine distance to it.
    angles : Tensor, shape (n, k), float64
        Its parameter, in radians.
    """

    distances: Tensor
    angles: Tensor


def _directions(images: Tensor, shift: bool) -> Tensor:
    # A blank image has no direction: it stays 0, at cosine distance 1 from everything.
    pixels = images.flatten(1).double()
    pixels = 2 * pixels - 1 if shift else pixels
    return pixels / pixels.norm(dim=1, keepdim=True).clamp(min=1e-12)


def nearest(frames: Tensor, family: CircularFamily, shift: bool, ctx: ScoreContext) -> Nearest:
    """Find for each frame the member of the family at the least cosine distance.

    Parameters
    ----------
    frames : Tensor, shape (n, k, c, h, w)
        In [0, 1].
    family : CircularFamily
    shift : bool
        Compare pixels on [-1, 1] (ACAI's) rather than on [0, 1].
    ctx : ScoreContext
    """
    bank = ctx.once(
        f"family/{shift}",
        lambda: _directions(family.images.to(ctx.device), shift),
        of=family,
    )
    single = bank.float()
    few = min(CANDIDATES, len(bank))

    def look(images: Tensor) -> Tensor:
        pixels = _directions(images, shift)
        candidates = (pixels.float() @ single.T).topk(few, dim=1).indices
        cosine = torch.einsum("nd,nkd->nk", pixels, bank[candidates])
        best = cosine.max(1)
        index = candidates.gather(1, best.indices.unsqueeze(1)).squeeze(1)
        return torch.stack([1 - best.values, index.double()], 1)

    n, k = frames.shape[:2]
    distances, index = ctx.batched(look, frames.flatten(0, 1)).unbind(1)
    angles = family.angles.to(distances)[index.long()]
    return Nearest(distances.view(n, k), angles.view(n, k))


def unwrap(angles: Tensor) -> Tensor:
    """Unwrap angles, so that each step is the shorter way around the circle."""
    steps = angles.diff(dim=1)
    turns = torch.round(steps / (2 * math.pi))
    unwrapped = steps - 2 * math.pi * turns
    return angles[:, :1] + torch.nn.functional.pad(unwrapped.cumsum(1), (1, 0))


@dataclass(frozen=True)
class FamilyMetric(Metric):
    """Base of the two scores: their definition and the nearest members.

    Parameters
    ----------
    definition : {"corrected", "legacy"}
    """

    definition: Literal["legacy", "corrected"] = "corrected"

    tasks: ClassVar[tuple[str, ...]] = ("interpolation",)

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``lower``; ``neutral`` as released, where a path that stands still scores best."""
        return "lower" if self.definition == "corrected" else "neutral"

    def missing(self, data: ImageDataset) -> str | None:
        """Return a reason if the data have no known family."""
        return None if data.family else "needs a known circular family of images (data set lines)"

    def nearest(self, paths: Paths, ctx: ScoreContext, ends: bool = False) -> Nearest:
        """Find the members nearest to the frames, or to the true ends, once per cell."""
        frames = torch.stack([paths.x0, paths.x1], 1) if ends else paths.frames
        check_images(frames=frames)
        family = ctx.data.family
        if family is None:
            raise ValueError(f"{self.id} {self.missing(ctx.data)}")
        shift = self.definition == "legacy"
        return ctx.once(
            f"nearest/{shift}/{ends}", lambda: nearest(frames, family, shift, ctx), of=paths
        )


@dataclass(frozen=True)
class LineDistance(FamilyMetric):
    """Mean cosine distance of the frames to the nearest true image.

    ``legacy``: pixels are on [-1, 1], and the dark background dominates: the distance of a blank
    image is only 0.03, and that of two random lines 0.082. ``corrected``: pixels are on [0, 1], so
    only bright pixels count and the distance of a blank image is 1. This metric is blind to whether
    the path moves, which the smoothness measures.
    """

    blind_to: ClassVar[tuple[Degenerate, ...]] = ("frozen", "teleporting")
    range: ClassVar[str] = "legacy: [0, 2]; corrected: [0, 1]; cosine distance"
    title: ClassVar[str] = "Distance of the path to the true images"

    @property
    def id(self) -> str:
        """Name with the definition."""
        return f"line_distance[{self.definition}]"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over frames and paths; the standard error is over paths."""
        return Value.of(self.nearest(artefact, ctx).distances.mean(1))


@dataclass(frozen=True)
class LineSmoothness(FamilyMetric):
    r"""Evenness of the turning along a path of T steps.

    With the unwrapped angles :math:`\theta_n` of the nearest members and the steps
    :math:`D_n = |\theta_{n+1} - \theta_n|`:

    ``legacy``: :math:`\max_n D_n / |\theta_T - \theta_0| - 1/T`, undefined where the path ends
    within 1e-4 of its start; the sum over the defined paths is divided by the number of *all*
    paths, as released. Going the long way round scores 0.

    ``corrected``: :math:`\max_n D_n / s - 1/T + (\sum_n D_n / s - 1)` with s the shorter arc
    between the two ends: the second part is the detour in units of s, 0 on the shorter way.
    Where s is below 1e-4 but the true ends are s' apart, the path scores as one jump,
    :math:`1 - 1/T + \sum_n D_n / s'`; where they are not apart either, it is undefined. The mean is
    over the defined paths, and n counts them.
    """

    range: ClassVar[str] = "[-1/T, inf); 0 for an even turn the shorter way"
    title: ClassVar[str] = "Evenness of the turning along the path"

    @property
    def id(self) -> str:
        """Name with the definition."""
        return f"line_smoothness[{self.definition}]"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over those that are defined."""
        angles = unwrap(self.nearest(artefact, ctx).angles)
        steps = angles.diff(dim=1).abs()
        turn = (angles[:, -1] - angles[:, 0]).abs()
        if self.definition == "corrected":
            return self._corrected(steps, _shorter(turn), artefact, ctx)
        defined = turn >= SHORTEST
        if not defined.any():
            raise Undefined("no path turns: its last frame is nearest to the image of its first")
        steps, turn = steps[defined], turn[defined]
        share = float(defined.double().mean())
        value = Value.of(steps.amax(1) / turn - 1 / steps.shape[1])
        stderr = None if value.stderr is None else value.stderr * share
        return Value(value.value * share, stderr, len(defined))

    def _corrected(self, steps: Tensor, arc: Tensor, paths: Paths, ctx: ScoreContext) -> Value:
        ends = self.nearest(paths, ctx, ends=True).angles
        due = _shorter(ends[:, 1] - ends[:, 0])
        still = arc < SHORTEST
        jump = 1 + steps.sum(1) / due
        turn = (steps.amax(1) + steps.sum(1)) / arc - 1
        scores = torch.where(still, jump, turn) - 1 / steps.shape[1]
        defined = ~still | (due >= SHORTEST)
        if not defined.any():
            raise Undefined("the two images of every pair are nearest to the same member")
        return Value.of(scores[defined])


def _shorter(turn: Tensor) -> Tensor:
    """Return the shorter way round of an angle."""
    return torch.arccos(torch.cos(turn))
