"""The rule that detects the collapse of a map in the evaluations during its training.

A collapsed map returns few different images, whatever its input. Claim 7 of the suite's list is
judged by these signs (Korotin, Selikhanovych & Burnaev 2022, arXiv 2201.12220; in their setting the
collapse occurred a few thousand updates into a seemingly successful training).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
