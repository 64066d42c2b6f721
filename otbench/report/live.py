"""Progress of a run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from otbench.results.job import Job
from otbench.results.records import outcome_of

LINE_SECONDS = 15.0
"""Seconds between two plain lines of one cell."""


class Live:
    """Progress of a run, on the standard error.

    Parameters
    ----------
    quiet : bool
        Print warnings only.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.quiet = quiet
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._total: TaskID | None = None
        self._last_line: dict[str, float] = {}
        self._seconds: list[float] = []
        self._started: dict[str, float] = {}
        self._left = 0
        self._slots = 1

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            self.console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.console.print(f"[bold yellow]warning:[/] {_escape(text)}", soft_wrap=True)

    @contextmanager
    def watching(self, todo: list[Job], reused: int, at_once: int) -> Iterator[None]:
        """Show the progress of some jobs."""
        self._left, self._slots = len(todo), at_once
        note = f", {reused} reused" if reused else ""
        if at_once < len(todo) or at_once == 1:
            note += f", {at_once} at once"
        self.say(f"{len(todo)} {'cell' if len(todo) == 1 else 'cells'} to run{note}")
        if self.quiet or not self.console.is_terminal or not todo:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
        )
        with Progress(*columns, console=self.console) as self._bars:
            self._total = self._bars.add_task("[bold]all cells", total=len(todo), state="")
            yield
        self._bars = None

    def observe(self, job: Job, event: str, content: dict[str, Any]) -> None:
        """Show an event of a job."""
        {"started": self._start, "progress": self._step, "ended": self._end}[event](job, content)

    def _start(self, job: Job, content: dict[str, Any]) -> None:
        self._started[job.cell.key] = time.monotonic()
        name = f"{job.cell.method} seed {job.cell.seed}"
        if self._bars is not None:
            total = job.cell.steps
            self._tasks[job.cell.key] = self._bars.add_task(
                _escape(name), total=total, state="starting"
            )
        else:
            self.say(f"{job.cell.dataset} {name}: started")

    def _step(self, job: Job, content: dict[str, Any]) -> None:
        state = describe_progress(content)
        if self._bars is not None and state:
            done = content.get("step", job.cell.steps if content["stage"] != "data" else 0)
            self._bars.update(self._tasks[job.cell.key], completed=done, state=_escape(state))
            return
        now = time.monotonic()
        if state and now - self._last_line.setdefault(job.cell.key, now) >= LINE_SECONDS:
            self._last_line[job.cell.key] = now
            self.say(f"{job.cell.dataset} {job.cell.method} seed {job.cell.seed}: {state}")

    def _end(self, job: Job, record: dict[str, Any]) -> None:
        self._left -= 1
        self._seconds.append(time.monotonic() - self._started[job.cell.key])
        status, why = outcome_of(job, record) if record else ("failed", None)
        reason = f": {why}" if why else ""
        if record and status != record["status"]:
            reason += "; the earlier result is kept"
        seconds = f"fit {record['fit_seconds']:.0f} s, " if record.get("fit_seconds") else ""
        scored = f"scored {record['score_seconds']:.0f} s" if record.get("score_seconds") else ""
        line = f"{status}{reason} {seconds}{scored}".rstrip(", ")
        remaining = self._estimate()
        if self._bars is not None and self._total is not None:
            self._bars.remove_task(self._tasks.pop(job.cell.key))
            self._bars.advance(self._total)
            self._bars.update(self._total, state=remaining)
        self.say(f"{job.cell.dataset} {job.cell.method} seed {job.cell.seed}: {line}{remaining}")

    def _estimate(self) -> str:
        if not self._left:
            return ""
        mean = sum(self._seconds) / len(self._seconds)
        cells = "cell" if self._left == 1 else "cells"
        # On a cluster fewer may be at work than may be.
        at_work = len(self._started) - len(self._seconds) + 1
        seconds = mean * self._left / min(self._slots, at_work)
        return f" ({self._left} {cells} left, about {duration(seconds)})"


def describe_progress(content: dict[str, Any]) -> str:
    """Format a cell's progress in one line: step, losses, time left."""
    stage = content.get("stage")
    if stage is None:
        return ""
    if stage != "fit":
        return f"scoring {stage}" if stage not in ("data", "pictures") else str(stage)
    step, steps, seconds = content["step"], content["steps"], content["seconds"]
    losses = " ".join(f"{name} {value:.4g}" for name, value in content["losses"].items())
    left = f" {duration(seconds / step * (steps - step))} left" if step else ""
    return f"step {step}/{steps} {losses}{left}"


def duration(seconds: float) -> str:
    """Write seconds as ``42 s``, ``3 min 10 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
