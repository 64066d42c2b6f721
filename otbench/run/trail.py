"""A log of the checks before a run, which tells who is to blame if their process ends or blocks.

The process writes a line before and after each stage in which it runs code of a plugin. The command
that started the process reads the file: the last open stage names the culprit, and a modification
time that does not change means that the process blocks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

IMPORT, MAKE, ASK = "importing it", "making it", "asking for its settings"
LOAD, FETCH, RUN = "loading it", "fetching its files", "trying it on a few items"

LIMITS = {IMPORT: 120.0, MAKE: 120.0, ASK: 120.0, LOAD: 3600.0, FETCH: 3600.0, RUN: 1800.0}
"""Time limit of each stage in seconds; it starts again whenever a download receives data."""

ELSE = 600.0
"""Time limit in seconds between two stages, where only code of the suite runs."""


@dataclass(frozen=True)
class Stage:
    """One stage of the checks, in which code of a plugin runs.

    Attributes
    ----------
    doing : str
        What is done in it: one of the constants of this module.
    kind, name : str
        The plugin, such as ``method`` and ``path-energy[alpha=1]``.
    """

    doing: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.doing}"


class Trail:
    """Writer of the log.

    Parameters
    ----------
    path : Path, optional
        The file. Without a path, nothing is written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    @contextmanager
    def stage(self, doing: str, kind: str, name: str) -> Iterator[None]:
        """Write that a stage begins and, at the end of the block, that it ended."""
        self._write(begun=[doing, kind, name])
        try:
            yield
        finally:
            self._write(ended=[doing, kind, name])

    def left_out(self, doing: str, kind: str, name: str, reason: str) -> None:
        """Write that a stage failed in a copy of the process and must not be tried again."""
        self._write(left_out=[doing, kind, name, reason])

    def moves(self) -> None:
        """Start the time limit of the current stage again."""
        if self.path is not None:
            os.utime(self.path)

    def _write(self, **line: list[str]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Standing:
    """The content of a log.

    Attributes
    ----------
    stage : Stage or None
        The current stage; None if only code of the suite runs.
    passed : tuple of Stage
        The stages that have ended.
    left_out : dict of Stage to str
        Stages that failed in a copy of the process, each with the reason.
    """

    stage: Stage | None
    passed: tuple[Stage, ...]
    left_out: dict[Stage, str]

    @property
    def limit(self) -> float:
        """Time limit of the current stage, in seconds."""
        return ELSE if self.stage is None else LIMITS[self.stage.doing]


def standing(path: Path) -> Standing:
    """Read a log. A missing file means that nothing has begun."""
    open_: list[Stage] = []
    passed: list[Stage] = []
    left_out: dict[Stage, str] = {}
    for line in _lines(path):
        if "begun" in line:
            open_.append(Stage(*line["begun"]))
        elif "left_out" in line:
            *parts, reason = line["left_out"]
            left_out[Stage(*parts)] = reason
        else:
            passed.append(open_.pop())
    return Standing(open_[-1] if open_ else None, tuple(passed), left_out)


def _lines(path: Path) -> Iterator[dict[str, list[str]]]:
    with suppress(FileNotFoundError):
        for text in path.read_text(encoding="utf-8").splitlines():
            # The last line may be incomplete.
            with suppress(ValueError):
                yield json.loads(text)


def stamp(path: Path) -> tuple[int, int]:
    """Return size and modification time, which change whenever the process makes progress."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
