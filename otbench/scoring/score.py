"""Scoring: run each task with a trained method, and compute its metrics on the result."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from otbench.errors import describe
from otbench.interface.data import Data
from otbench.interface.method import Method
from otbench.interface.metric import Metric, Undefined
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import Task
from otbench.plugins.parameters import instantiate
from otbench.plugins.registry import Registry
from otbench.plugins.selection import parse_one

log = logging.getLogger(__name__)

Row = dict[str, Any]


class MetricFactory:
    """Creates metrics from text, such as ``fid[lenet]``, each only once."""

    def __init__(self) -> None:
        self.registry = Registry("metrics")
        self._made: dict[str, Metric | str] = {}

    def __call__(self, texts: Iterable[str]) -> dict[str, Metric | str]:
        """Return each metric, or the reason why it could not be created."""
        return {text: self._one(text) for text in texts}

    def _one(self, text: str) -> Metric | str:
        if text not in self._made:
            try:
                (spec,) = parse_one(text)
                self._made[text] = instantiate(self.registry.get(spec.name).load(), spec)
            except Exception as error:  # noqa: BLE001 - a stranger's code, reported as a row
                self._made[text] = describe(error)
        return self._made[text]


def row(task: str, text: str, metric: Metric | str, **content: Any) -> Row:
    """Create one row of results.

    Parameters
    ----------
    task, text : str
        The task, and the metric as it was requested.
    metric : Metric or str
        The metric, or the reason why it could not be created.
    **content
        ``value``, ``stderr`` and ``n``, or ``status`` and ``reason``; ``retry`` marks a value
        that another run on the same model may supply.
    """
    blank = {"value": None, "stderr": None, "n": None, "status": "ok", "reason": None}
    known = (
        {"metric": metric.id, "direction": metric.direction_on(task)}
        if isinstance(metric, Metric)
        else {"metric": text, "direction": "neutral", "status": "failed", "reason": metric}
    )
    return {"task": task, "text": text, **blank, **known, **content}


def score(
    method: Method,
    data: Data,
    ctx: ScoreContext,
    wanted: dict[str, list[str]],
    unavailable: dict[str, str] | None = None,
    on_stage: Any = None,
    make_metrics: MetricFactory | None = None,
) -> Iterator[Row]:
    """Run tasks and metrics; every wanted metric yields exactly one row.

    Parameters
    ----------
    method : Method
        The trained method.
    data : ImageDataset or MeasurePair
    ctx : ScoreContext
    wanted : dict of str to list of str
        Metrics for each task, as text.
    unavailable : dict of str to str, optional
        Metrics that cannot be computed here, with the reason (missing weights).
    on_stage : callable, optional
        Called with the name of each task as it starts.
    make_metrics : MetricFactory, optional
        Metrics that have been made already.
    """
    tasks, make_metrics = Registry("tasks"), make_metrics or MetricFactory()
    for task_name, texts in wanted.items():
        task: Task = tasks.get(task_name).load()()
        metrics = make_metrics(texts)
        artefact, common = None, _status(task.missing(method, data), "skipped")
        if not common:
            if on_stage is not None:
                on_stage(task_name)
            try:
                with _timed(f"task {task_name}"):
                    artefact = task.run(method, data, ctx)
            except Exception as error:
                log.exception("task %s failed", task_name)
                common = _status(describe(error), "failed")
        for text, metric in metrics.items():
            if isinstance(metric, str) or common:
                yield row(task_name, text, metric, **common)
            elif text in (unavailable or {}):
                reason = (unavailable or {})[text]
                yield row(task_name, text, metric, status="skipped", reason=reason, retry=True)
            elif absent := metric.missing(data):
                yield row(task_name, text, metric, **_status(absent, "skipped"))
            else:
                yield row(task_name, text, metric, **_compute(metric, artefact, ctx))


def _status(reason: str | None, status: str) -> dict[str, str]:
    return {} if reason is None else {"status": status, "reason": reason}


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    log.info("%s: %.2f s", what, time.perf_counter() - started)


def _compute(metric: Metric, artefact: Any, ctx: ScoreContext) -> dict[str, Any]:
    try:
        with _timed(f"metric {metric.id}"):
            value = metric.compute(artefact, ctx)
    except Undefined as undefined:
        return _status(str(undefined), "skipped")
    except Exception as error:
        log.exception("metric %s failed", metric.id)
        return _status(describe(error), "failed")
    if not math.isfinite(value.value):
        return {"n": value.n} | _status(f"the value is {value.value}", "failed")
    return {"value": value.value, "stderr": value.stderr, "n": value.n}
