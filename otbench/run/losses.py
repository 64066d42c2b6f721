"""Losses of a training for its record, thinned to a bounded size."""

from __future__ import annotations

from collections.abc import Mapping

from otbench.results.text import clean

POINTS = 1000
"""Largest number of points of one loss."""

NAMES, LONGEST_NAME = 100, 80
"""Largest number of losses, and longest name of one."""


class Series:
    """A series of points (step, value) of which at most `POINTS` are kept.

    The first and the last point are always kept, and between them every k-th point. The stride k
    doubles whenever the series becomes too long.

    Attributes
    ----------
    points : list of [int, float]
    """

    def __init__(self) -> None:
        self.points: list[list[float]] = []
        self._stride, self._count = 1, 0
        self._passing = False

    def add(self, step: int, value: float) -> None:
        """Add a point."""
        if self._passing:
            self.points.pop()
        if len(self.points) >= POINTS - 1:
            self.points = self.points[::2]
            self._stride *= 2
        self.points.append([step, value])
        # A point that is not a k-th one stays at the end until the next one arrives.
        self._passing = self._count % self._stride != 0
        self._count += 1


class Losses:
    """The series of all losses of a training, by name."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}

    def add(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """Add a point to each series; return the values of the losses that are kept."""
        kept = {}
        for name, value in values.items():
            name = clean(name, LONGEST_NAME)
            if name in self._series or len(self._series) < NAMES:
                self._series.setdefault(name, Series()).add(step, value)
                kept[name] = value
        return kept

    def points(self) -> dict[str, list[list[float]]]:
        """Return the points of each series."""
        return {name: series.points for name, series in self._series.items()}
