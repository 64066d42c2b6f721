"""The cells of a reproduction, and its numbers from their records."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from otbench.presets import DEFAULT, get_preset
from otbench.reproduce.declaration import Quantity, Reproduction, Run
from otbench.reproduce.expression import Address
from otbench.results.job import Job
from otbench.results.record import LOST
from otbench.results.statistics import diverged, interval
from otbench.results.tables import published_number, table
from otbench.run.request import Sweep
from otbench.run.runner import Outcome

OF_CELL = "cell"
"""Name that replaces the task for quantities of the record itself, such as ``fit_seconds``."""

LARGE = ">100"
"""The error of a map that has diverged, as papers print it."""

LEAST_SEEDS = 5
"""Smallest number of seeds at which a claim is judged: with fewer, intervals are too wide."""

COLLAPSE = "collapse"
"""The metric that says whether a map collapsed; it is of use where one did."""

DIVERGED = "diverged"
"""A quantity of a cell that is 1 or 0, and also defined for a failed cell; see `diverged`."""


@dataclass
class Measured:
    """One number of a reproduction.

    Attributes
    ----------
    run, quantity, method : str
    metric, direction : str
        Id and direction of the metric.
    values : dict of int to float
        Values by seed.
    stderr : float or None
        Standard error within the test set, for the first seed.
    published : float or None
        Published number, with its ``published_spread`` over seeds and its ``source``; infinite if
        the paper only says that the number is large.
    reference : bool
        Whether the method is a reference that learns nothing.
    reason : str or None
        Reason why there is no value.
    void : dict of int to str
        Seeds whose training collapsed or diverged, with the reason. Their values do not count.
    """

    run: str
    quantity: str
    method: str
    metric: str
    direction: str = "neutral"
    values: dict[int, float] = field(default_factory=dict)
    stderr: float | None = None
    published: float | None = None
    published_spread: float | None = None
    source: str | None = None
    reference: bool = False
    reason: str | None = None
    void: dict[int, str] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        """Address in claims."""
        return self.run, self.quantity, self.method

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return sum(self.values.values()) / len(self.values)

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds, with ddof 1; None for a single seed."""
        return float(pd.Series(self.values).std()) if len(self.values) > 1 else None

    def row(self) -> dict[str, Any]:
        """Return the number and its spread as one row of a table."""
        content = asdict(self)
        del content["values"], content["void"]
        if self.published is not None and math.isinf(self.published):
            content["published"] = LARGE
        ci95 = interval(pd.Series(self.values)) if len(self.values) > 1 else None
        spread = {"std": self.std, "ci95": ci95, "seeds": len(self.values)}
        return content | {"mean": self.mean if self.values else None} | spread


def sweeps_of(reproduction: Reproduction, preset_name: str, seeds: int | None) -> list[Sweep]:
    """Return one sweep for each method of each run, in the order of `asked_by`."""
    metrics: dict[str, list[str]] = {}
    for quantity in reproduction.quantities:
        if quantity.task != OF_CELL:
            metrics.setdefault(quantity.task, []).append(quantity.metric)
    made = []
    for run, method in asked_by(reproduction):
        dataset, steps, count = _scaled(run, preset_name)
        numbers = list(range(seeds or count))
        made.append(Sweep([reproduction.methods[method]], [dataset], numbers, steps, dict(metrics)))
    return made


def asked_by(reproduction: Reproduction) -> list[tuple[Run, str]]:
    """Return the run and the short name of the method of each sweep."""
    return [(run, method) for run in reproduction.runs for method in run.methods]


def _scaled(run: Run, preset_name: str) -> tuple[str, int | None, int]:
    """Return data set, steps and number of seeds of a run at a preset."""
    preset, quick = get_preset(preset_name), get_preset(DEFAULT)
    paper = (run.paper or {}) if preset.track == "native" else {}
    steps = run.steps
    if steps is not None:
        steps = max(1, round(steps * preset.scene_steps / quick.scene_steps))
    if preset.scene_steps < quick.scene_steps:
        seeds = 1
    else:
        least = LEAST_SEEDS if preset.full else 1
        seeds = max(preset.seeds, run.seeds or 1, least)
    return paper.get("dataset", run.dataset), paper.get("steps", steps), seeds


def measured(reproduction: Reproduction, outcome: Outcome, first: int) -> list[Measured]:
    """Collect the numbers of a reproduction from the records.

    Parameters
    ----------
    reproduction : Reproduction
    outcome : Outcome
    first : int
        Index of its first sweep in the request.
    """
    found = []
    for number, (run, method) in enumerate(asked_by(reproduction), first):
        jobs = outcome.asked.get(number, [])
        rejected = [r["reason"] for r in outcome.rejected if r.get("sweep") == number]
        for quantity in reproduction.quantities:
            one = Measured(run.name, quantity.name, method, quantity.metric)
            for job in jobs:
                _add(one, quantity, job, outcome.record(job))
            if not one.values and one.reason is None:
                one.reason = rejected[0] if rejected else "it was not measured"
            found.append(one)
    return found


def _add(one: Measured, quantity: Quantity, job: Job, record: dict[str, Any] | None) -> None:
    if record is None:
        one.reason = "the cell left no record"
        return
    one.reference = bool(record.get("reference"))
    if quantity.task == OF_CELL and quantity.metric == DIVERGED:
        share = diverged(table([record]))
        value = None if math.isnan(share) else share
        row = {"value": value, "reason": record["reason"], "direction": "lower"}
    elif quantity.task == OF_CELL:
        value = record.get(quantity.metric)
        row = {"value": value, "reason": record["reason"], "direction": "neutral"}
    else:
        rows = [
            r for r in record["rows"] if (r["task"], r["text"]) == (quantity.task, quantity.metric)
        ]
        reason = record["reason"] or f"{quantity.metric} does not apply to this data"
        row = rows[0] if rows else {"value": None, "reason": reason}
        if record["status"] in LOST and quantity.metric.partition("[")[0] != COLLAPSE:
            row = {"value": None, "reason": f"{record['status']}: {record['reason']}"}
            one.void[job.cell.seed] = row["reason"]
    if row["value"] is None:
        one.reason = one.reason or row["reason"]
        return
    one.values[job.cell.seed] = float(row["value"])
    one.metric, one.direction = row.get("metric", one.metric), row["direction"]
    one.stderr = row.get("stderr") if one.stderr is None else one.stderr
    cell = job.cell
    printed = published_number(
        cell.dataset, cell.method, cell.parameters, quantity.task, one.metric
    )
    if printed:
        one.published, one.published_spread = printed.value, printed.spread
        one.source = printed.source
