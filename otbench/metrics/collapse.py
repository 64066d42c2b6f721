"""The rules that detect a collapse: of a map while it trains, and of any trained model.

A collapsed map returns few different images, whatever its input. Claim 7 of the suite's list is
judged by these signs (Korotin, Selikhanovych & Burnaev 2022, arXiv 2201.12220; in their setting the
collapse occurred a few thousand updates into a seemingly successful training).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Point = Mapping[str, Any]
"""``step`` and, as far as they were measured, ``coverage``, ``pairwise`` and ``modes``."""

FALL = 0.5
"""Share of its running maximum below which coverage must not fall twice in a row."""

LEARNED = 0.1
"""Coverage above which a map has learned something that it can lose."""

PAIRWISE, MODES = 0.5, 0.5
"""Least ratio of distances, and least share of modes, of a map that has not collapsed."""

JUDGED_FROM = 0.5
"""Share of the training after which too few modes or too small distances count as a collapse; an
earlier map has not learned enough."""


@dataclass(frozen=True)
class Collapse:
    """Where a collapse was detected, and by which sign.

    Attributes
    ----------
    step : int
        The evaluation that showed it.
    sign : {"coverage", "pairwise", "modes"}
    """

    step: int
    sign: str


def narrow(point: Point) -> str | None:
    """Return which of the two signs that need a single evaluation a map shows, or None."""
    if point.get("pairwise", 1.0) < PAIRWISE:
        return "pairwise"
    return "modes" if point.get("modes", 1.0) < MODES else None


VARIANCE = 0.1
"""Share of the data's variance below which the output of a trained model has collapsed."""

COVERAGE = 0.1
"""Share of the data covered by the output below which a trained model has collapsed."""

BLOW_UP = 10.0
"""Factor between the first and the last values of a loss above which the training blew up."""


def few_different(variance: float) -> str | None:
    """Say that an output has collapsed, by its variance as a share of the data's, or return None.

    Both are total variances: traces of the covariance.
    """
    if variance >= VARIANCE:
        return None
    return f"its output has {variance:.2g} of the data's variance, below {VARIANCE:g}"


def few_covered(coverage: float) -> str | None:
    """Say that an output has collapsed, by the share of the data that it covers, or return None.

    A few images that are far from each other vary as much as the data and cover little of it.
    """
    if coverage >= COVERAGE:
        return None
    return f"its output covers {coverage:.2g} of the data, below {COVERAGE:g}"


def blown_up(values: Sequence[float]) -> float | None:
    """Return by which factor a loss ended above its start, if by more than `BLOW_UP`; else None.

    Parameters
    ----------
    values : sequence of float
        The loss over the training. Its end is the median of the last tenth, so that a single bad
        batch does not count. A loss that starts at or below 0 has no such factor.
    """
    if len(values) < 2 or not values[0] > 0:
        return None
    factor = median(values[-max(1, len(values) // 10) :]) / values[0]
    return factor if factor > BLOW_UP else None


def still_collapsed(points: Sequence[Point]) -> str | None:
    """Return by which sign a trained map is collapsed, judged by its last evaluation, or None.

    Other than `collapse_in`, which finds any collapse on the way, it forgives one that the map
    recovered from.
    """
    known = [point["coverage"] for point in points if "coverage" in point]
    best = max(known, default=0.0)
    if len(known) > 2 and best >= LEARNED and max(known[-2:]) < FALL * best:
        return "coverage"
    return narrow(points[-1]) if points else None


def collapse_in(points: Sequence[Point]) -> Collapse | None:
    """Return the first collapse in the evaluations of a training, or None.

    A map has collapsed if coverage is below half of its running maximum at two consecutive
    evaluations after the maximum has reached `LEARNED`. It has also collapsed if, from the middle
    of the training on, the ratio of pairwise distances is below 0.5 or fewer than half of the modes
    are reached. The last evaluation is that of the trained map and is judged like all others.

    Parameters
    ----------
    points : sequence of mapping
        In order of the steps. Points without any of the three numbers are ignored.
    """
    points = [point for point in points if point.keys() & {"coverage", "pairwise", "modes"}]
    best, low = 0.0, 0
    for point in points:
        if "coverage" in point:
            best = max(best, point["coverage"])
            low = low + 1 if best >= LEARNED and point["coverage"] < FALL * best else 0
        if low >= 2:
            return Collapse(point["step"], "coverage")
        sign = narrow(point) if point["step"] >= JUDGED_FROM * points[-1]["step"] else None
        if sign is not None:
            return Collapse(point["step"], sign)
    return None
