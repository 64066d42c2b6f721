"""ACAI's two scores of paths between images of a known circular family (their "lines").

Berthelot, Raffel, Roy & Goodfellow 2018, arXiv 1807.07543, section 4 and the evaluation in their
release, in two definitions: ``legacy`` as released, for comparison with printed numbers, and
``corrected``.
The protocol has 16 frames from 256 pairs; the path's own first and last frame count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import Paths
from otbench.interface.data import CircularFamily, ImageDataset
from otbench.interface.metric import Direction, Metric, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images

CANDIDATES = 8
"""Nearest members by single precision, looked at again in double."""

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
    """Remove the jumps over the end of the circle: each step becomes the shorter way round."""
    steps = angles.diff(dim=1)
    turns = torch.round(steps / (2 * math.pi))
    unwrapped = steps - 2 * math.pi * turns
    return angles[:, :1] + torch.nn.functional.pad(unwrapped.cumsum(1), (1, 0))


@dataclass(frozen=True)
class FamilyMetric(Metric):
    """Base of the two scores: the definition and the nearest members.

    Parameters
    ----------
    definition : {"corrected", "legacy"}
    """

    definition: Literal["legacy", "corrected"] = "corrected"

    tasks: ClassVar[tuple[str, ...]] = ("interpolation",)
    direction: ClassVar[Direction] = "lower"

    def missing(self, data: ImageDataset) -> str | None:
        """Refuse data without a known family."""
        return None if data.family else "needs a known circular family of images (data set lines)"

    def nearest(self, paths: Paths, ctx: ScoreContext) -> Nearest:
        """Find the members nearest to the frames, once a cell for each definition."""
        check_images(frames=paths.frames)
        family = ctx.data.family
        if family is None:
            raise ValueError(f"{self.id} {self.missing(ctx.data)}")
        shift = self.definition == "legacy"
        return ctx.once(
            f"nearest/{shift}", lambda: nearest(paths.frames, family, shift, ctx), of=paths
        )


@dataclass(frozen=True)
class LineDistance(FamilyMetric):
    """Mean cosine distance of the frames to the nearest true image.

    ``legacy``: pixels on [-1, 1], where the dark background dominates: a blank image is at 0.03
    only, and two random lines at 0.082. ``corrected``: pixels on [0, 1], so that only ink counts
    and a blank image is at 1.
    """

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
    Undefined where s is below 1e-4; the mean is over the defined paths, and n counts them.
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
        legacy = self.definition == "legacy"
        arc = turn if legacy else torch.arccos(torch.cos(turn))
        defined = arc >= SHORTEST
        if not defined.any():
            raise Undefined("no path turns: its last frame is nearest to the image of its first")
        steps, arc = steps[defined], arc[defined]
        scores = steps.amax(1) / arc - 1 / steps.shape[1]
        if not legacy:
            return Value.of(scores + steps.sum(1) / arc - 1)
        share = float(defined.double().mean())
        value = Value.of(scores)
        stderr = None if value.stderr is None else value.stderr * share
        return Value(value.value * share, stderr, len(defined))
