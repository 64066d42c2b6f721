"""Transport: map held-out points of one distribution to another, and back."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import torch
from torch import Tensor

from otbench.errors import DataError
from otbench.interface.artefacts import HeldOut, Transport
from otbench.interface.data import ImagePair, MeasurePair
from otbench.interface.method import Method, TransportMap
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput, Task
from otbench.tasks.base import checked_points

POINTS = 2**14
"""Number of held-out points of each distribution (release of Amos 2023)."""

CHECKED = 64
"""Number of points of each distribution that are checked before any training."""

BATCH = 4096
"""Number of points that a method maps in one call."""

SOURCE_SEED, TARGET_SEED, AGAIN_SEED, PUSH_SEED = 7_160_001, 7_160_002, 7_160_003, 7_160_004
"""Seeds of the protocol: all methods and seeds are scored on the same points."""


def drawn(data: MeasurePair, side: str, n: int, seed: int) -> Tensor:
    """Draw n points of one side of a pair with a given seed, on the CPU.

    Parameters
    ----------
    data : MeasurePair
    side : {"source", "target"}
    n, seed : int

    Raises
    ------
    DataError
        If the sampler's points have the wrong shape or dtype or are not finite.
    """
    points = getattr(data, side)(n, torch.Generator().manual_seed(seed))
    return _of_data(points, n, data, side)


def _of_data(points: Any, n: int, data: MeasurePair, call: str) -> Tensor:
    try:
        return checked_points(points, n, data.dimension, f"the data set's {call}")
    except BadOutput as error:
        raise DataError(f"{data.name}: {error}") from error


def check_pair(data: MeasurePair) -> None:
    """Draw and map a few points of both sides, to reject an invalid pair early.

    Raises
    ------
    DataError
        If the two sides differ in dimension, or a sampler returns points of the wrong shape or
        type, or values that are not finite.
    """
    source = drawn(data, "source", CHECKED, SOURCE_SEED)
    drawn(data, "target", CHECKED, TARGET_SEED)
    images = data.true_map(source)
    if images is not None:
        _of_data(images, CHECKED, data, "true_map")


def held_out(data: MeasurePair, ctx: ScoreContext) -> HeldOut:
    """Return the held-out points on the device: `POINTS`, or `ScoreContext.sample` if fewer.

    Raises
    ------
    DataError
        If a sampler or the true map of the data set returns invalid points.
    """
    n = POINTS if ctx.sample is None else min(POINTS, ctx.sample)

    def draw() -> HeldOut:
        source = drawn(data, "source", n, SOURCE_SEED)
        images = data.true_map(source)
        if images is not None:
            images = _of_data(images, n, data, "true_map").to(ctx.device)
        target, again = (drawn(data, "target", n, seed) for seed in (TARGET_SEED, AGAIN_SEED))
        device = ctx.device
        return HeldOut(source.to(device), target.to(device), again.to(device), images)

    return ctx.once("held-out", draw, of=data)


class MapTask(Task):
    """A task on maps between two distributions."""

    on: ClassVar[type] = MeasurePair

    def missing(self, method: Method, data: MeasurePair) -> str | None:
        """Require a map between distributions."""
        if isinstance(method, TransportMap):
            return None
        return f"needs push: {type(method).__name__} is not a TransportMap"


class PointTask(MapTask):
    """A task on new draws from the two distributions, which image sets do not allow."""

    def lacks(self, data: MeasurePair) -> str | None:
        """Exclude pairs of image sets, which the task ``translation`` scores."""
        return "images are scored by the task translation" if isinstance(data, ImagePair) else None


class Transportation(PointTask):
    """Push held-out points of the source, and pull points of the target back.

    If the optimal map is known, the points to pull are the images of the source points, so that
    their preimages are known; otherwise they are the first points of the target sample. If `pull`
    or `dual_value` returns an invalid result, only the metrics that use it fail.
    """

    name: ClassVar[str] = "transport"
    title: ClassVar[str] = "Transport of held-out points between two distributions"
    order: ClassVar[int] = 90
    default_metrics: ClassVar[tuple[str, ...]] = (
        "uvp",
        "uvp[inverse]",
        "cosine",
        "cosine[inverse]",
        "w2-gap",
        "conjugate-residual",
        "conjugate-residual[max]",
        "time-to-uvp",
        "time-to-uvp[percent=1]",
        "sliced-w2",
        "w2-reference[floor,of=sliced]",
        "w2-reference[identity,of=sliced]",
        "exact-w2",
        "w2-reference[floor,of=exact]",
        "w2-reference[identity,of=exact]",
        "monotonicity",
        "push-rate",
    )
    plane_metrics: ClassVar[tuple[str, ...]] = (
        "sinkhorn-cost",
        "w2-reference[floor,of=sinkhorn]",
        "sinkhorn-cost[inverse]",
        "w2-reference[source-floor,of=sinkhorn]",
    )
    """Further metrics, in two dimensions."""

    def metrics_for(self, data: MeasurePair, full: bool) -> tuple[str, ...]:
        """Return also Sinkhorn costs for data in the plane."""
        chosen = super().metrics_for(data, full)
        return (*chosen, *self.plane_metrics) if data.dimension == 2 else chosen

    def run(self, method: TransportMap, data: MeasurePair, ctx: ScoreContext) -> Transport:
        """Return the points and the method's results for them."""
        points = held_out(data, ctx)
        pushed, seconds = push(method, points.source, ctx)
        pulled = returned = None
        if offers(method, "pull"):
            pulled, returned = _there_and_back(method, points, ctx)
        dual = _dual(method, points) if offers(method, "dual_value") else None
        return Transport(
            **vars(points),
            pushed=pushed,
            push_seconds=seconds,
            pulled=pulled,
            dual=dual,
            returned=returned,
        )


def _there_and_back(
    method: TransportMap, points: HeldOut, ctx: ScoreContext
) -> tuple[Tensor | BadOutput, Tensor | BadOutput]:
    """Pull points of the target, and push the first pulled points again."""
    arrivals = points.target[:BATCH] if points.images is None else points.images
    try:
        pulled = _in_batches(arrivals, f"{type(method).__name__}.pull", method.pull)
    except BadOutput as fault:
        return fault, fault
    try:
        return pulled, carried(method, pulled[:BATCH], ctx)
    except BadOutput as fault:
        return pulled, fault


def offers(method: TransportMap, name: str) -> bool:
    """Return whether a method implements ``pull``, ``dual_value`` or ``potential_value``."""
    return bool(getattr(type(method), name) is not getattr(TransportMap, name))


def _in_batches(points: Tensor, call: str, carry: Any) -> Tensor:
    """Map points (n, d) in batches, without gradients, and check the results."""
    with torch.no_grad():
        parts = [
            checked_points(carry(part.clone()), len(part), part.shape[1], call).to(points.device)
            for part in points.split(BATCH)
        ]
    return torch.cat(parts)


def carried(method: TransportMap, points: Tensor, ctx: ScoreContext) -> Tensor:
    """Push points (n, d) in batches, with the protocol's seed, and check the results."""
    generator = torch.Generator(ctx.device).manual_seed(PUSH_SEED)

    def carry(x: Tensor) -> Tensor:
        return method.push(x, generator)

    return _in_batches(points, f"{type(method).__name__}.push", carry)


def push(method: TransportMap, source: Tensor, ctx: ScoreContext) -> tuple[Tensor, float]:
    """Push all points after a warm-up call; return the images and the seconds of the push."""
    carried(method, source[:BATCH], ctx)
    # The check of each batch reads its values, so the device has finished when the clock stops.
    started = time.perf_counter()
    pushed = carried(method, source, ctx)
    return pushed, time.perf_counter() - started


def _dual(method: TransportMap, points: HeldOut) -> float | BadOutput:
    target = points.target if points.images is None else points.images
    value = method.dual_value(points.source.clone(), target.clone())
    call = f"{type(method).__name__}.dual_value"
    if not isinstance(value, int | float):
        return BadOutput(f"{call} returned a {type(value).__name__}, wanted a float")
    return float(value)
