"""The trail of the checks before a run: what is at work now, should that end the process or hang.

Each stage of a stranger's code is written down before it starts and after it ends. Whoever started
the process reads in the file who is to blame, and notices from the file's time that nothing moves.
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

LIMITS = {IMPORT: 120.0, MAKE: 120.0, ASK: 120.0, LOAD: 3600.0, FETCH: 3600.0, RUN: 600.0}
"""Seconds that a stage may take, not counting a download that moves."""

ELSE = 600.0
"""Seconds that the suite's own work between two stages may take."""


@dataclass(frozen=True)
class Stage:
    """Some code of a plugin at work.

    Attributes
    ----------
    doing : str
        One of the constants of this module.
    kind, name : str
        Such as ``method`` and ``path-energy[alpha=1]``.
    """

    doing: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.doing}"


class Trail:
    """Writes the trail.

    Parameters
    ----------
    path : Path, optional
        Without one, nothing is written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    @contextmanager
    def stage(self, doing: str, kind: str, name: str) -> Iterator[None]:
        """Note that a stage begins, and that it ended, well or with an exception."""
        self._write(begun=[doing, kind, name])
        try:
            yield
        finally:
            self._write(ended=[doing, kind, name])

    def left_out(self, doing: str, kind: str, name: str, reason: str) -> None:
        """Note a stage that need not be tried again, and why."""
        self._write(left_out=[doing, kind, name, reason])

    def moves(self) -> None:
        """Note that the stage is under way: its time limit starts anew."""
        if self.path is not None:
            os.utime(self.path)

    def _write(self, **line: list[str]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Standing:
    """What a trail says.

    Attributes
    ----------
    stage : Stage or None
        The one at work; None where the suite's own code is.
    passed : tuple of Stage
        The stages that ended.
    left_out : dict of Stage to str
        Those that need not be tried again, with the reason.
    """

    stage: Stage | None
    passed: tuple[Stage, ...]
    left_out: dict[Stage, str]

    @property
    def limit(self) -> float:
        """Seconds that this may take."""
        return ELSE if self.stage is None else LIMITS[self.stage.doing]


def standing(path: Path) -> Standing:
    """Read a trail; one that does not exist yet has not begun."""
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
            # The last line may be half written.
            with suppress(ValueError):
                yield json.loads(text)


def stamp(path: Path) -> tuple[int, int]:
    """Return what changes whenever something is written or moves."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
