"""Losses of a training for its record: thinned, so that a long training makes no large file."""

from __future__ import annotations

from collections.abc import Mapping

from otbench.results.text import clean

POINTS = 1000
"""Points of one loss that are kept at most."""

NAMES, LONGEST_NAME = 100, 80
"""Losses that are kept at most, and characters of a name."""


class Series:
    """Points (step, value) that arrive one by one, of which at most `POINTS` are kept.

    The first and the last are always among them; those between are every k-th that arrived, where k
    doubles whenever there are too many.

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
        # One that is not kept stands at the end until the next one comes.
        self._passing = self._count % self._stride != 0
        self._count += 1


class Losses:
    """The series of all losses of a training, by name."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}

    def add(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """Add a point to each series; return the values whose names are kept."""
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
