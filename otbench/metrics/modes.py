"""Modes of the target among the translated images, by the domain classifier."""

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
"""A mode counts as reached if its share among the translated images is at least this fraction of
its share in the target."""

SMOOTHING = 0.5
"""Number added to the count of each mode on both sides (Krichevsky & Trofimov)."""

TRUSTED = 0.8
"""Least accuracy of the classifier on the modes of the target's held-out images."""


def no_modes(data: Any) -> str | None:
    """Return why a pair has no modes to count, or None."""
    if isinstance(data, ImagePair) and mode_count(data) is not None:
        return None
    return f"needs labels on both sides: {data.name} has none"


def modes_of(features: Tensor, ctx: ScoreContext) -> Tensor:
    """Return the number of the target's images in each mode, and of images not of the target.

    A copy of a source image has a mode but is not an image of the target. The classifier decides
    this, too.

    Parameters
    ----------
    features : Tensor, shape (n, 64)
    ctx : ScoreContext

    Returns
    -------
    Tensor, shape (m + 1,), int64
        On the CPU; the last entry counts images that are not of the target.

    Raises
    ------
    Undefined
        If there are no labels, or the classifier's accuracy on the target's test images is below
        `TRUSTED`.
    """
    if reason := no_modes(ctx.data):
        raise Undefined(reason)
    found = classifier(ctx)
    accuracy = found.mode_accuracy or 0.0
    if accuracy < TRUSTED:
        raise Undefined(
            f"the classifier recognises the target's modes in only {accuracy:.0%} of images"
        )
    strange = mode_count(ctx.data) or 0
    modes = found.modes(features).where(found.of_target(features), strange)
    return torch.bincount(modes, minlength=strange + 1).cpu()


def target_modes(labels: Tensor | None, ctx: ScoreContext) -> Tensor:
    """Return the number of the target's images in each mode by label, (m + 1,); the last is 0.

    Raises
    ------
    Undefined
        If there are no labels.
    """
    if labels is None:
        raise Undefined(no_modes(ctx.data) or "the target's images came without labels")
    return torch.bincount(labels.cpu(), minlength=(mode_count(ctx.data) or 0) + 1)


def share_reached(carried: Tensor, target: Tensor) -> float:
    """Return the fraction of the target's modes that the translated images reach; see `LEAST`.

    Parameters
    ----------
    carried, target : Tensor, shape (m,)
        Number of images in each mode; modes that are absent from the target are ignored.

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
    """Return `share_reached` for translated images with these features and the labelled modes.

    Raises
    ------
    Undefined
        If there is nothing to count; see `modes_of` and `share_reached`.
    """
    return share_reached(modes_of(features, ctx), target_modes(labels, ctx))


def divergence(carried: Tensor, target: Tensor) -> float:
    r"""Return :math:`\mathrm{KL}(p\,\|\,q)` in nats, p of translated images and q of the target.

    `SMOOTHING` is added to all counts, so a mode that is absent from the target's sample has a high
    but finite cost.

    Parameters
    ----------
    carried, target : Tensor, shape (m,)
    """
    p, q = ((c.double() + SMOOTHING) / (c.sum() + SMOOTHING * len(c)) for c in (carried, target))
    return float((p * (p / q).log()).sum())


@dataclass(frozen=True)
class Modes(TranslationMetric):
    """Modes of the target among the translated images, labelled by the domain classifier.

    An image counts only if the classifier assigns it to the target.

    Parameters
    ----------
    of : {"reached", "kl"}
        The fraction of modes that have at least a fifth of their share in the target's test labels;
        or the divergence KL(translated || target) of the shares, where images not of the target
        form a separate mode and half an image is added to each mode.
    """

    of: Literal["reached", "kl"] = "reached"

    range: ClassVar[str] = "reached: [0, 1]; kl: [0, inf), nats"
    title: ClassVar[str] = "Modes of the target among the translated images"

    @property
    def blind_to(self) -> tuple[Degenerate, ...]:  # type: ignore[override]
        """Degenerate outputs to which it is blind; counts ignore mixtures and a few bad images."""
        coarse: tuple[Degenerate, ...] = ("cross-faded", "one bad of eight")
        return ("shuffled", *coarse) if self.of == "reached" else ("shuffled",)

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``higher`` for modes reached, ``lower`` for the divergence."""
        return "higher" if self.of == "reached" else "lower"

    @property
    def id(self) -> str:
        """Name with the quantity and the least fraction that counts."""
        return f"modes[reached,share={LEAST:g}]" if self.of == "reached" else "modes[kl]"

    def missing(self, data: Any) -> str | None:
        """Require labels."""
        return no_modes(data)

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Count modes; n is the number of translated images."""
        features = domain_features(artefact.generated, ctx)
        if self.of == "reached":
            share = mode_share(features, artefact.labels, ctx)
        else:
            target = target_modes(artefact.labels, ctx)
            # The classifier's rejection rate on the target itself is not the map's fault.
            target[-1] = modes_of(domain_features(artefact.real, ctx), ctx)[-1]
            share = divergence(modes_of(features, ctx), target)
        return Value(share, None, len(features))
