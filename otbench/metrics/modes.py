"""Which modes of the target the carried images show, by the domain classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.data import ImagePair
from otbench.interface.metric import Degenerate, Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.domain import classifier, domain_features, mode_count
from otbench.metrics.translation import TranslationMetric

LEAST = 0.2
"""Part of its share in the target that a mode needs among the carried images to count."""

SMOOTHING = 0.5
"""Images that each mode is given on top of its own, on both sides (Krichevsky & Trofimov)."""

TRUSTED = 0.8
"""Least share of the target's held-out images whose mode the classifier must get right."""


def no_modes(data: Any) -> str | None:
    """Say why a pair has no modes to count, or None."""
    if isinstance(data, ImagePair) and mode_count(data) is not None:
        return None
    return f"needs labels on both sides: {data.name} has none"


def modes_of(features: Tensor, ctx: ScoreContext) -> Tensor:
    """Return how many images of the target show each mode, and how many are none of its images.

    A copy of a source image shows its mode but is not an image of the target; the classifier
    decides that as well.

    Parameters
    ----------
    features : Tensor, shape (n, 64)
    ctx : ScoreContext

    Returns
    -------
    Tensor, shape (m + 1,), int64
        On the CPU; the images that are not the target's come last.

    Raises
    ------
    Undefined
        If there are no labels, or the classifier is right on less than `TRUSTED` of the target's
        test images.
    """
    if reason := no_modes(ctx.data):
        raise Undefined(reason)
    found = classifier(ctx)
    accuracy = found.mode_accuracy or 0.0
    if accuracy < TRUSTED:
        raise Undefined(f"the classifier tells the target's modes in only {accuracy:.0%} of images")
    strange = mode_count(ctx.data) or 0
    modes = found.modes(features).where(found.of_target(features), strange)
    return torch.bincount(modes, minlength=strange + 1).cpu()


def target_modes(labels: Tensor | None, ctx: ScoreContext) -> Tensor:
    """Return how many images of the target are of each mode by label, (m + 1,); the last is 0.

    Raises
    ------
    Undefined
        If there are no labels.
    """
    if labels is None:
        raise Undefined(no_modes(ctx.data) or "the target's images came without labels")
    return torch.bincount(labels.cpu(), minlength=(mode_count(ctx.data) or 0) + 1)


def share_reached(carried: Tensor, target: Tensor) -> float:
    """Return the share of the target's modes with `LEAST` of their share among the carried images.

    Parameters
    ----------
    carried, target : Tensor, shape (m,)
        Images of each mode; modes that the target lacks do not count.

    Raises
    ------
    Undefined
        If the target has fewer than two modes.
    """
    there = target > 0
    if int(there.sum()) < 2:
        raise Undefined("the target's test images are all of one mode")
    shares = carried.double() / carried.sum()
    due = LEAST * target.double() / target.sum()
    # Allow for rounding in the two divisions: exactly a fifth counts.
    return float((shares >= due * (1 - 1e-12))[there].double().mean())


def mode_share(features: Tensor, labels: Tensor | None, ctx: ScoreContext) -> float:
    """Return `share_reached` by carried images with these features, of the modes in the labels.

    Raises
    ------
    Undefined
        If there is nothing to count; see `modes_of` and `share_reached`.
    """
    return share_reached(modes_of(features, ctx), target_modes(labels, ctx))


def divergence(carried: Tensor, target: Tensor) -> float:
    r"""Return :math:`\mathrm{KL}(p\,\|\,q)` in nats, p of the carried images, q the target's.

    `SMOOTHING` is added to each count of both, so that a mode that the target's sample lacks
    costs much and not infinitely much.

    Parameters
    ----------
    carried, target : Tensor, shape (m,)
    """
    p, q = ((c.double() + SMOOTHING) / (c.sum() + SMOOTHING * len(c)) for c in (carried, target))
    return float((p * (p / q).log()).sum())


@dataclass(frozen=True)
class Modes(TranslationMetric):
    """Modes of the target among the carried images, as the domain classifier labels them.

    An image counts for a mode only if the classifier takes it for one of the target's.

    Parameters
    ----------
    of : {"reached", "kl"}
        The share of modes that have at least a fifth of their share in the target's test labels;
        or the divergence KL(carried || target) of the shares, images that are not the target's a
        mode of their own, half an image added to each mode.
    """

    of: Literal["reached", "kl"] = "reached"

    range: ClassVar[str] = "reached: [0, 1]; kl: [0, inf), nats"
    title: ClassVar[str] = "Modes of the target among the carried images"

    @property
    def blind_to(self) -> tuple[Degenerate, ...]:  # type: ignore[override]
        """Mixtures, and few bad images, where modes are only counted."""
        coarse: tuple[Degenerate, ...] = ("cross-faded", "one bad of eight")
        return ("shuffled", *coarse) if self.of == "reached" else ("shuffled",)

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``higher`` for modes reached, ``lower`` for the divergence."""
        return "higher" if self.of == "reached" else "lower"

    @property
    def id(self) -> str:
        """Name with what of them, and the least share that counts."""
        return f"modes[reached,share={LEAST:g}]" if self.of == "reached" else "modes[kl]"

    def missing(self, data: Any) -> str | None:
        """Need labels."""
        return no_modes(data)

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Count; n is the number of carried images."""
        features = domain_features(artefact.generated, ctx)
        if self.of == "reached":
            share = mode_share(features, artefact.labels, ctx)
        else:
            target = target_modes(artefact.labels, ctx)
            # The classifier's rejection rate on the target itself is not the map's fault.
            target[-1] = modes_of(domain_features(artefact.real, ctx), ctx)[-1]
            share = divergence(modes_of(features, ctx), target)
        return Value(share, None, len(features))
