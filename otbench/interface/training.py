"""The context of a training: budget, device, randomness, progress and a clock."""

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

ProgressCallback = Callable[[int, int, float, dict[str, float]], None]


class Diverged(RuntimeError):
    """A loss is no longer a finite number."""


@dataclass(frozen=True)
class Budget:
    """The budget of a training.

    Attributes
    ----------
    steps : int
        Number of updates of the model; the same for all methods of the track ``matched``.
    batch_size : int
        Number of images in one update.
    seconds : float or None
        Limit on the wall-clock training time; None for no limit. Results under a limit depend on
        the machine, so it is only a safety net.
    """

    steps: int
    batch_size: int = 64
    seconds: float | None = None


class TrainingMonitor(Protocol):
    """Evaluates a method at some checkpoints of its training; see `otbench.scoring.curve`."""

    def due(self, step: int) -> bool:
        """Return whether to evaluate the method after ``step`` updates."""

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

    def seed_for(self, axis: str) -> int:
        """Return a separate seed for one use of randomness, such as "init" or "batches"."""
        digest = hashlib.sha256(f"{self.seed}/{axis}".encode()).digest()
        return int.from_bytes(digest[:6], "big")

    def generator(self, axis: str, device: str | torch.device = "cpu") -> torch.Generator:
        """Return a new generator for one use of randomness; each axis has its own sequence."""
        return torch.Generator(device=device).manual_seed(self.seed_for(axis))

    @property
    def seconds(self) -> float:
        """Wall-clock training time so far, without pauses."""
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
            The items left over at the end of an epoch start the next batch, so that all batches are
            full. If there are fewer items than a batch holds, items repeat within it.
        axis : str
            Name of the use of randomness; streams with different axes are independent.
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
        """Evaluate the method after ``step`` updates if the monitor asks for it.

        Call this in ``fit`` whenever the method is ready for use, such as a map that can push. Most
        calls return at once; in about a dozen, the method is scored while the clock is stopped.
        Scoring must not affect the training.

        Parameters
        ----------
        step : int
            Number of updates so far, at least 1.
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
        """Report the progress of the training.

        Values are read (which waits for the device) only about twice a second and at the last step.

        Raises
        ------
        Diverged
            If a loss is NaN or infinite.
        """
        now = time.perf_counter()
        last = step + 1 >= self.budget.steps
        if now - self._last_report < 0.5 and not last:
            return
        self._last_report = now
        values = {
            name: float(value.detach() if isinstance(value, Tensor) else value)
            for name, value in losses.items()
        }
        for name, value in values.items():
            if not math.isfinite(value):
                raise Diverged(f"loss '{name}' became {value} at step {step + 1}")
        if self._on_progress is not None:
            self._on_progress(step + 1, self.budget.steps, self.seconds, values)
