"""Which modes of the target the carried images show, by the domain classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.data import ImagePair
from otbench.interface.metric import Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.domain import classifier, domain_features, mode_count
from otbench.metrics.translation import TranslationMetric

LEAST = 0.2
"""Part of its share in the target that a mode needs among the carried images to count."""

SMOOTHING = 0.5
"""Images that each mode is given on top of its own, on both sides (Krichevsky & Trofimov)."""

TRUSTED = 0.8
"""Share of the target's held-out images whose mode the classifier must tell."""


def no_modes(data: Any) -> str | None:
    """Say why a pair has no modes to count, or None."""
    if isinstance(data, ImagePair) and mode_count(data) is not None:
        return None
    return f"needs labels on both sides: {data.name} has none"


def modes_of(features: Tensor, ctx: ScoreContext) -> Tensor:
    """Return how many images show each mode, by their features (n, 64), on the CPU, shape (m,).

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
    return torch.bincount(found.modes(features), minlength=mode_count(ctx.data) or 0).cpu()


def target_modes(n: int, ctx: ScoreContext) -> Tensor:
    """Return how many of the target's first n test images are of each mode by label, (m,)."""
    pair: ImagePair = ctx.data
    labels = pair.target_images.test.labels
    assert labels is not None
    return torch.bincount(labels[:n].cpu(), minlength=mode_count(pair) or 0)


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
    # A hair for the rounding of the two divisions: exactly a fifth counts.
    return float((shares >= due * (1 - 1e-12))[there].double().mean())


def mode_share(features: Tensor, n: int, ctx: ScoreContext) -> float:
    """Return `share_reached` of carried images, by their features, of the first n test images'.

    Raises
    ------
    Undefined
        If there is nothing to count; see `modes_of` and `share_reached`.
    """
    return share_reached(modes_of(features, ctx), target_modes(n, ctx))


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

    Parameters
    ----------
    of : {"reached", "kl"}
        The share of modes that have at least a fifth of their share in the target's test labels;
        or the divergence KL(carried || target) of the shares, half an image added to each mode.
    """

    of: Literal["reached", "kl"] = "reached"

    range: ClassVar[str] = "reached: [0, 1]; kl: [0, inf), nats"
    title: ClassVar[str] = "Modes of the target among the carried images"

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
        features, n = domain_features(artefact.generated, ctx), len(artefact.real)
        if self.of == "reached":
            share = mode_share(features, n, ctx)
        else:
            share = divergence(modes_of(features, ctx), target_modes(n, ctx))
        return Value(share, None, len(features))
