"""The context of a training: budget, device, randomness, progress, a clock."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

REPORT_SECONDS = 0.5
"""Seconds between two reports of where a training stands."""

ProgressCallback = Callable[[int, int, float, dict[str, float]], None]


class Diverged(RuntimeError):
    """A loss is no longer a finite number."""


@dataclass(frozen=True)
class Budget:
    """How long a method may train.

    Attributes
    ----------
    steps : int
        Updates of the model; the same for all methods of the track ``matched``.
    batch_size : int
        Images in one update.
    seconds : float or None
        A cap on the training time, wall-clock, None for no cap. Results then depend on the
        machine, so it is a safety net and never the measure.
    """

    steps: int
    batch_size: int = 64
    seconds: float | None = None


class TrainingMonitor(Protocol):
    """Evaluates a method at some checkpoints of its training; see `otbench.scoring.curve`."""

    def due(self, step: int) -> bool:
        """Whether to evaluate the method after ``step`` updates."""

    def evaluate(self, step: int, seconds: float, method: Any) -> None:
        """Evaluate the method after ``step`` updates and ``seconds`` of training."""


class FitContext:
    """Budget, device, generators, progress and a clock for one training.

    Parameters
    ----------
    budget : Budget
    seed : int
    device : str or torch.device
    on_progress : callable, optional
        Called with (step, steps, seconds so far, losses), at most about twice a second.
    monitor : TrainingMonitor, optional
        Evaluates the method at some of its checkpoints.
    """

    def __init__(
        self,
        budget: Budget,
        seed: int = 0,
        device: str | torch.device = "cpu",
        on_progress: ProgressCallback | None = None,
        monitor: TrainingMonitor | None = None,
    ) -> None:
        self.budget = budget
        self.seed = seed
        self.device = torch.device(device)
        self._on_progress = on_progress
        self._monitor = monitor
        self._started = time.perf_counter()
        self._paused = 0.0
        self._last_report = -math.inf
        self._at_the_end = False
        self._held_back: tuple[int, int, float, dict[str, float]] | None = None

    def seed_for(self, axis: str) -> int:
        """Return a seed of its own for one use of randomness, such as "init" or "batches"."""
        digest = hashlib.sha256(f"{self.seed}/{axis}".encode()).digest()
        return int.from_bytes(digest[:6], "big")

    def generator(self, axis: str, device: str | torch.device = "cpu") -> torch.Generator:
        """Return a fresh generator for one use of randomness: one axis, one sequence of draws."""
        return torch.Generator(device=device).manual_seed(self.seed_for(axis))

    @property
    def seconds(self) -> float:
        """Training time so far, wall-clock, without the paused parts."""
        return time.perf_counter() - self._started - self._paused

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock, for work that is not training."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - start

    def steps(self) -> Iterator[int]:
        """Count the updates from 0, until the steps or the seconds of the budget are used up."""
        for step in range(self.budget.steps):
            if self.budget.seconds is not None and self.seconds > self.budget.seconds:
                return
            yield step

    def stream(self, data: Tensor, axis: str = "batches") -> Iterator[Tensor]:
        """Yield shuffled batches on the device without end, each epoch in a new order.

        Parameters
        ----------
        data : Tensor, shape (n, ...)
            A last incomplete batch is carried over into the next epoch, so that all batches are
            full; with fewer items than a batch, items repeat.
        axis : str
            Names the randomness: two streams with different axes are independent.
        """
        generator = self.generator(axis)
        size = self.budget.batch_size
        order = torch.empty(0, dtype=torch.long)
        while True:
            while len(order) < size:
                order = torch.cat([order, torch.randperm(len(data), generator=generator)])
            batch, order = order[:size], order[size:]
            yield data[batch].to(self.device, non_blocking=True)

    def checkpoint(self, step: int, method: Any) -> None:
        """Offer the method as it is after ``step`` updates, so that its error can be followed.

        For a method that can do its work before the end of ``fit``, such as a map that can push:
        call this wherever it is as good as it gets. Most calls return at once; at some, a dozen
        or so, the method is scored while the clock stands still. Scoring must not disturb the
        training.

        Parameters
        ----------
        step : int
            Updates so far, at least 1.
        method : Method
            Usually ``self``.
        """
        if self._monitor is None or not self._monitor.due(step):
            return
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = self.seconds
        with self.paused():
            self._monitor.evaluate(step, seconds, method)

    def progress(self, step: int, **losses: Tensor | float) -> None:
        """Report where the training stands.

        Values are read (which waits for the device) only about twice a second and at the last step.
        A method that reports the last step more than once is told on no more often than another.

        Raises
        ------
        Diverged
            If a loss is NaN or infinite.
        """
        now = time.perf_counter()
        last = step + 1 >= self.budget.steps
        due = now - self._last_report >= REPORT_SECONDS or (last and not self._at_the_end)
        self._at_the_end = last
        if not (due or last):
            return
        values = {
            name: float(value.detach() if isinstance(value, Tensor) else value)
            for name, value in losses.items()
        }
        for name, value in values.items():
            if not math.isfinite(value):
                raise Diverged(f"loss '{name}' became {value} at step {step + 1}")
        self._held_back = step + 1, self.budget.steps, self.seconds, values
        if due:
            self._last_report = now
            self.report_held_back()

    def report_held_back(self) -> None:
        """Report what `progress` was told last, unless it was reported; called after ``fit``."""
        if self._held_back is not None and self._on_progress is not None:
            self._on_progress(*self._held_back)
        self._held_back = None
