"""Tasks and metrics of a request that suit the data and can run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from otbench.errors import UsageError, describe
from otbench.interface.data import Data
from otbench.interface.metric import Metric
from otbench.interface.task import Task
from otbench.plugins.registry import Registry
from otbench.plugins.selection import parse
from otbench.presets import Preset
from otbench.run.request import Plan, Request, Sweep
from otbench.run.trail import ASK, FETCH, MAKE, RUN, Trail
from otbench.scoring.score import STRANGERS, MetricFactory

Answer = TypeVar("Answer")


class Scorers:
    """Tasks and metrics of a request. Each failure becomes a warning of the plan.

    Parameters
    ----------
    request : Request
    plan : Plan
    trail : Trail

    Attributes
    ----------
    make_metrics : MetricFactory
    """

    def __init__(self, request: Request, plan: Plan, trail: Trail) -> None:
        self._request, self._plan, self._trail = request, plan, trail
        self._tasks = Registry("tasks")
        self.make_metrics = _Tried(request, trail)

    def wanted(
        self, preset: Preset, sweep: Sweep, extra: Iterable[str], data: Data
    ) -> dict[str, list[str]]:
        """Return the metrics to score on a data set, as text for each task.

        Parameters
        ----------
        preset : Preset
        sweep : Sweep
        extra : iterable of str
            Additional metrics, as text.
        data : Data

        Raises
        ------
        UsageError
            If an additional metric cannot be constructed.
        """
        chosen = sweep.metrics or self._defaults(preset, data)
        wanted = {task: list(texts) for task, texts in chosen.items()}
        for spec in parse(extra):
            self.make_metrics.registry.get(spec.name)
            metric = self.make_metrics([spec.label])[spec.label]
            if isinstance(metric, str):
                raise UsageError(f"metric {spec.label}: {metric}")
            add_metrics(wanted, {task: [spec.label] for task in metric.tasks})
        return {
            name: [text for text in texts if self._means_something(text, data)]
            for name, texts in wanted.items()
            if self._ask_task(name, lambda task: _suits(task, data))
        }

    def fetch(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Fetch the files that metrics need.

        A metric becomes unavailable if its files cannot be fetched, or if it ended the process when
        it was tried.
        """
        for text, metric in self.make_metrics(chain(*wanted.values())).items():
            if text in self._plan.unavailable or not isinstance(metric, Metric):
                continue
            reason = self._request.avoided("metric", text, FETCH, RUN)
            if reason is None:
                with self._trail.stage(FETCH, "metric", text):
                    try:
                        for asset in metric.assets:
                            _require(asset)
                    except STRANGERS as error:
                        reason = describe(error)
            if reason is not None:
                self._plan.unavailable[text] = reason.splitlines()[0]
                self._warn(f"{text} will not be scored: {reason}")

    def _defaults(self, preset: Preset, data: Data) -> Mapping[str, Sequence[str]]:
        """Return the default metrics of every registered task that suits the data."""
        found = []
        for name in self._tasks.names():
            answer = self._ask_task(
                name,
                lambda task: (
                    (task.order, task.metrics_for(data, preset.full))
                    if _suits(task, data)
                    else None
                ),
            )
            if answer is not None:
                found.append((answer[0], name, answer[1]))
        return {name: texts for _, name, texts in sorted(found) if texts}

    def _ask_task(self, name: str, question: Callable[[Task], Answer]) -> Answer | None:
        """Construct a task and return its answer; on failure warn and return None."""
        reason = self._request.avoided("task", name, MAKE, RUN)
        if reason is None:
            with self._trail.stage(MAKE, "task", name):
                try:
                    return question(self._tasks.get(name).load()())
                except UsageError:
                    raise
                except STRANGERS as error:
                    reason = describe(error)
        self._warn(f"task {name} is left out: {reason}")
        return None

    def _means_something(self, text: str, data: Data) -> bool:
        """Return whether a metric is defined on the data.

        Otherwise its column would hold the same reason in every row.
        """
        metric = self.make_metrics([text])[text]
        if isinstance(metric, str):
            if text not in self.make_metrics.avoided:
                return True
            self._warn(f"metric {text} is left out: {metric}")
            return False
        with self._trail.stage(ASK, "metric", text):
            try:
                return not metric.missing(data)
            except STRANGERS as error:
                self._warn(f"metric {text} is left out: {describe(error)}")
                return False

    def _warn(self, problem: str) -> None:
        if problem not in self._plan.warnings:
            self._plan.warnings.append(problem)


class _Tried(MetricFactory):
    """Constructs metrics, except those that are known to end the process."""

    def __init__(self, request: Request, trail: Trail) -> None:
        super().__init__()
        self._request, self._trail = request, trail
        self.avoided: set[str] = set()

    def _one(self, text: str) -> Metric | str:
        if reason := self._request.avoided("metric", text, MAKE, ASK):
            self.avoided.add(text)
            return reason
        with self._trail.stage(MAKE, "metric", text):
            return super()._one(text)


def _require(asset: str) -> None:
    from otbench.assets.store import require

    require(asset)


def _suits(task: Task, data: Data) -> bool:
    return isinstance(data, task.on) and not task.lacks(data)


def add_metrics(known: dict[str, list[str]], more: Mapping[str, Sequence[str]]) -> None:
    """Add metrics, as text by task, to those that are there."""
    for task, texts in more.items():
        own = known.setdefault(task, [])
        own += [text for text in texts if text not in own]
