"""The states of the cells of a results folder, read from another process."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from otbench.results.asked import asked
from otbench.results.cell import Cell, read_json
from otbench.results.progress import read_progress
from otbench.results.record import LOST, BadRecord, Record, read_record

RUNNING, WAITING = "running", "waiting"


@dataclass(frozen=True)
class Standing:
    """The state of one cell.

    Attributes
    ----------
    cell : Cell
    state : str
        ``running``, ``waiting`` (requested, but not started), or the status of its record.
    reason : str or None
        Reason given in the record.
    stage : str or None
        Stage of a running cell: ``fit 120/500``, or the name of a task.
    seconds : float or None
        Seconds of training and scoring, from the record; for a running cell, since its start.
    """

    cell: Cell
    state: str
    reason: str | None = None
    stage: str | None = None
    seconds: float | None = None


def standings(out: Path) -> list[Standing]:
    """Return the state of each cell that the last commands requested, sorted by folder.

    The function writes nothing and keeps no lock.

    Parameters
    ----------
    out : Path
        The results folder.
    """
    groups = set(asked(out).values())
    found = (_standing(folder) for folder in sorted((out / "cells").glob("*/*")))
    return [one for one in found if one is not None and one.cell.group in groups]


def seconds_left(cells: Iterable[Standing]) -> float | None:
    """Estimate the seconds until all cells are done, if as many run at once as now.

    The expected duration of a cell is the mean over its finished seeds or, without any, over the
    finished cells of its data set.

    Returns
    -------
    float or None
        None if nothing runs, or if no finished cell gives an expected duration.
    """
    cells = list(cells)
    running = [one for one in cells if one.state == RUNNING]
    if not running:
        return None
    left = 0.0
    for one in cells:
        if one.state not in (RUNNING, WAITING):
            continue
        expected = _mean(_durations(cells, one, "group")) or _mean(
            _durations(cells, one, "dataset")
        )
        if expected is None:
            return None
        left += max(expected - (one.seconds or 0.0), 0.0)
    return left / len(running)


def _durations(cells: list[Standing], like: Standing, what: str) -> Iterator[float]:
    for one in cells:
        alike = getattr(one.cell, what) == getattr(like.cell, what)
        if alike and one.state in ("ok", *LOST) and one.seconds is not None:
            yield one.seconds


def _mean(values: Iterator[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def _standing(folder: Path) -> Standing | None:
    """Return the state of one cell; None for a folder without a cell."""
    record = _record(folder)
    try:
        cell = Cell.from_json((record or read_json(folder / "cell.json"))["cell"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if (since := _locked_since(folder / "cell.lock")) is not None:
        return Standing(cell, RUNNING, None, _stage(folder), time.time() - since)
    if record is None:
        return Standing(cell, WAITING)
    spent = [record[name] for name in ("fit_seconds", "score_seconds") if record[name] is not None]
    return Standing(cell, record["status"], record["reason"], None, sum(spent) if spent else None)


def _record(folder: Path) -> Record | None:
    try:
        return read_record(folder / "record.json")
    except (FileNotFoundError, NotADirectoryError, BadRecord):
        return None


def _locked_since(lock: Path) -> float | None:
    """Return the time at which the current holder of a lock took it; None if it is free."""
    try:
        # Opened for reading, because `FileLock` would write and change the time.
        with lock.open("rb") as file:
            taken = lock.stat().st_mtime
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return taken
    except OSError:
        return None
    return None


def _stage(folder: Path) -> str | None:
    progress = read_progress(folder)
    stage: str | None = progress.get("stage")
    return f"{stage} {progress['step']}/{progress['steps']}" if "step" in progress else stage
