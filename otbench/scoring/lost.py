"""Whether a training led to a model that works, or collapsed or diverged.

A lost training is a status of its cell, with the reason. Its values are kept and shown as what they
are; they are never averaged with those of other seeds. References learn nothing and are not judged,
nor are trainings of fewer than `JUDGED_FROM` updates, which have not learned enough to lose it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from otbench.interface.data import ImageDataset, ImagePair, MeasurePair
from otbench.interface.method import Autoencoder, Method, TransportMap
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.metrics.collapse import blown_up, few_covered, few_different, narrow, still_collapsed
from otbench.metrics.pixel import squared_error
from otbench.results.record import COLLAPSED, DIVERGED
from otbench.results.statistics import DIVERGED_UVP, UVP_METRIC
from otbench.tasks.base import decoded, encoded

JUDGED_FROM = 100
"""Updates of the shortest training that is judged."""

LOSSES = ("reconstruction", "loss")
"""Names of losses that a method minimises; parts of others may grow as they should."""

JUDGED = 1000
"""Test items that a trained model is judged by, a stratified sample."""

LEAST = 100
"""Test items below which coverage says little."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Lost:
    """What became of a training that led to no model that works.

    Attributes
    ----------
    status : {"collapsed", "diverged"}
        ``collapsed``: the output hardly depends on the input. ``diverged``: the loss blew up, or
        the output is worse than a constant.
    reason : str
        The rule and the numbers.
    """

    status: str
    reason: str


def of_losses(losses: Mapping[str, Sequence[Sequence[float]]]) -> Lost | None:
    """Judge a training by its losses, as the record keeps them: by name, (step, value) each."""
    for name in LOSSES:
        values = [value for _, value in losses.get(name, [])]
        if (factor := blown_up(values)) is not None:
            return Lost(DIVERGED, f"its loss '{name}' ended {factor:.3g} times above its start")
    return None


def of_images(method: Method, data: ImageDataset, ctx: ScoreContext, rows: Rows) -> Lost | None:
    """Judge an autoencoder by its reconstructions of test images; others draw from their input."""
    if not isinstance(method, Autoencoder):
        return None
    real = data.test.sample(JUDGED).images.to(ctx.device)
    try:
        drawn = decoded(method, encoded(method, real, ctx), data, ctx)
    except BadOutput:
        # The tasks say so, each in its row.
        return None
    spread, error, own = (
        float(squared_error(a, b).mean())
        for a, b in ((real, _mean(real)), (real, drawn), (drawn, _mean(drawn)))
    )
    if not spread > 0:
        return None
    if reason := few_different(own / spread):
        return Lost(COLLAPSED, reason)
    if error > spread:
        return Lost(
            DIVERGED,
            f"its reconstructions are worse than the mean image (squared error {error:.3g}, of the "
            f"mean image {spread:.3g})",
        )
    if len(real) >= LEAST and (reason := few_covered(_coverage(real, drawn))):
        return Lost(COLLAPSED, reason)
    return None


def of_translation(method: Method, data: ImagePair, ctx: ScoreContext, rows: Rows) -> Lost | None:
    """Judge a map of images by its last evaluation; without one, by the images that it draws."""
    sign = still_collapsed(ctx.curve)
    if not ctx.curve and isinstance(method, TransportMap):
        from otbench.metrics.translation import pairwise_ratio
        from otbench.tasks.translation import as_images
        from otbench.tasks.transport import carried

        source = data.source_images.test.sample(JUDGED).images.to(ctx.device)
        target = data.target_images.test.sample(JUDGED).images.to(ctx.device)
        try:
            moved = carried(method, source.flatten(1), ctx)
            images, _ = as_images(moved, data, f"{type(method).__name__}.push")
            sign = narrow({"pairwise": pairwise_ratio(images, target)})
        except (BadOutput, Undefined):
            return None
    return None if sign is None else Lost(COLLAPSED, SIGNS[sign])


SIGNS = {
    "coverage": "the target that its images cover fell below half of what they covered before",
    "pairwise": "its images are less than half as far from each other as the target's",
    "modes": "its images reach fewer than half of the target's modes",
}


def of_map(method: Method, data: MeasurePair, ctx: ScoreContext, rows: Rows) -> Lost | None:
    """Judge a map of points by its unexplained variance, or by the spread of what it carries."""
    for row in rows:
        value = row["value"] if row["metric"] == UVP_METRIC else None
        if value is not None and value > DIVERGED_UVP:
            return Lost(DIVERGED, f"{UVP_METRIC} is {value:.3g} %; a constant map leaves 100")
    if not isinstance(method, TransportMap):
        return None
    from otbench.tasks.transport import carried, held_out

    known = held_out(data, ctx)
    try:
        moved = carried(method, known.source[:JUDGED], ctx).double()
    except BadOutput:
        return None
    spread = float(known.target[:JUDGED].double().var(0).sum())
    reason = few_different(float(moved.var(0).sum()) / spread) if spread > 0 else None
    return None if reason is None else Lost(COLLAPSED, reason)


def _mean(images: torch.Tensor) -> torch.Tensor:
    return images.double().mean(0, keepdim=True)


def _coverage(real: torch.Tensor, drawn: torch.Tensor) -> float:
    from otbench.metrics.prdc import coverage

    return coverage(real.flatten(1), drawn.flatten(1))
