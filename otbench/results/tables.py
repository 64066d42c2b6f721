"""Tables made from records: the long table and the leaderboard."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from otbench.errors import UsageError, describe
from otbench.files import whole
from otbench.interface.parameters import with_tuples
from otbench.plugins.selection import parse_one
from otbench.results.asked import shown
from otbench.results.cell import slug
from otbench.results.columns import COLUMNS
from otbench.results.record import LOST, BadRecord, read_record
from otbench.results.shipped import with_shipped
from otbench.results.statistics import (
    MAP_TASK,
    diverged,
    lost,
    of_maps,
    summary,
)
from otbench.results.text import clean, no_formula


@dataclass(frozen=True)
class Printed:
    """A published number.

    Attributes
    ----------
    value : float
        Infinite if the paper only says that it is large.
    spread : float or None
        Standard deviation over the paper's seeds, if it is printed.
    source : str
        The place in the literature.
    """

    value: float
    spread: float | None
    source: str


def load_results(path: str | Path = "results") -> pd.DataFrame:
    """Read all records below a folder into the long table, with one row per value.

    Parameters
    ----------
    path : str or Path
        The results folder: the argument of ``otbench run --out``.

    Returns
    -------
    pandas.DataFrame
        Columns as in `COLUMNS`. A cell without values has one row with its status and reason, but
        without task and metric.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    return table(_read_records(Path(path)))


def _read_records(folder: Path, known: Iterable[dict[str, Any]] = ()) -> Iterator[dict[str, Any]]:
    """Yield the records below a folder; known records are not read again."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no results folder at {folder}")
    read = {record["key"]: record for record in known}
    for file in sorted(folder.glob("cells/*/*/record.json")):
        try:
            yield read.get(file.parent.name.rpartition("-")[2]) or read_record(file)
        except FileNotFoundError:
            continue
        except BadRecord as bad:
            warnings.warn(f"{clean(str(file))} is left out: {bad}", stacklevel=2)


def table(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Convert records to the long table; an entry without a cell is itself a row."""
    rows = [row for record in records for row in _rows(record)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    if "cell" not in record:
        return [record]
    cell, provenance = record["cell"], record["provenance"]
    common = {
        "cell": record["key"],
        "group": record["group"],
        "reference": record["reference"],
        "params": json.dumps(cell["parameters"], sort_keys=True),
        **{name: cell[name] for name in ("method", "track", "dataset", "variant", "preset")},
        "seed": cell["seed"],
        **{name: cell[name] for name in ("code_sha256", "data_sha256")},
        **{name: cell[name] for name in ("steps", "device", "threads")},
        **{name: record[name] for name in ("fit_seconds", "score_seconds", "peak_rss_mb")},
        **{name: record[name] for name in ("started_at", "status", "reason")},
        **{name: provenance.get(name) for name in ("otbench_version", "commit", "dirty")},
        "plugin": cell["plugin"]["file"] or cell["plugin"]["distribution"],
        "plugin_version": cell["plugin"]["version"],
    }
    if not record["rows"]:
        return [common]
    # What a lost model scores is no result of the method: its status stands in every row.
    lost = {n: record[n] for n in ("status", "reason")} if record["status"] in LOST else {}
    return [common | row | (lost if row["status"] == "ok" else {}) for row in record["rows"]]


@cache
def published() -> pd.DataFrame:
    """Return the published numbers, each with its source."""
    return pd.read_csv(str(files("otbench.results") / "published.csv"), comment="#")


@cache
def _printed() -> dict[tuple[str, ...], list[tuple[set[Any], set[Any], Printed]]]:
    """Return the published numbers by data set, name of the method, task and metric.

    Each comes with the parameters that a cell must have and those that it must not have.
    """
    found: dict[tuple[str, ...], list[tuple[set[Any], set[Any], Printed]]] = {}
    for row in published().fillna({"unless": ""}).to_dict("records"):
        (spec,) = parse_one(row["method"])
        (unless,) = parse_one(f"{spec.name}[{row['unless']}]" if row["unless"] else spec.name)
        key = (row["dataset"], spec.name, row["task"], row["metric"])
        spread = float(row["spread"])
        number = Printed(float(row["value"]), None if math.isnan(spread) else spread, row["source"])
        sets = set(spec.parameters), set(unless.parameters)
        found.setdefault(key, []).append((*sets, number))
    return found


def _readings(value: Any) -> tuple[Any, ...]:
    """Return the possible meanings of a value in a selection: `none` may be None or a string."""
    return (None, "none") if value is None else (value,)


def _without_folder(dataset: str) -> str:
    """Return the label of a data set without the user's folder."""
    try:
        (spec,) = parse_one(dataset)
    except (UsageError, ValueError):
        # Not a label of this version, so nothing is published for it.
        return dataset
    return replace(spec, parameters=tuple(x for x in spec.parameters if x[0] != "path")).label


def published_number(
    dataset: str, method: str, parameters: Mapping[str, Any], task: str, metric: str
) -> Printed | None:
    """Return the published number for a cell, if there is one.

    Parameters
    ----------
    dataset, method : str
        Labels.
    parameters : mapping
        All parameters of the method with their values. A number applies to a method that has the
        parameters under which it is listed and none of those in the column ``unless``. If several
        apply, the one with the most parameters is returned.
    task, metric : str
    """
    key = (_without_folder(dataset), method.partition("[")[0], task, metric)
    values = with_tuples(dict(parameters))

    def has(one: tuple[str, Any]) -> bool:
        return values.get(one[0], MISSING) in _readings(one[1])

    fitting = [
        (len(wanted), number)
        for wanted, unless, number in _printed().get(key, [])
        if all(map(has, wanted)) and not any(map(has, unless))
    ]
    return max(fitting, key=lambda one: one[0])[1] if fitting else None


def leaderboard(results: pd.DataFrame) -> pd.DataFrame:
    """Arrange results with one row per method.

    Each metric has the columns ``task/metric`` (mean), ``… n`` (number of seeds with a value),
    ``… std``, ``… ci95`` and ``… pi95`` (half-widths of the 95 % intervals of the mean and of one
    more training), ``… pi95 of`` (``own`` for the spread over these seeds, or the number of
    reference runs that a single training takes it from), ``… direction`` and, if a paper prints a
    number, ``… published`` and ``… source``. The column ``collapsed`` is the share of seeds that
    collapsed or diverged; their values are not part of any mean. Maps also have ``… median`` and a
    column ``diverged``; see the function `otbench.results.statistics.diverged`.

    Parameters
    ----------
    results : pandas.DataFrame
        The long table of one data set. Cells that differ in more than the seed (code, data, budget,
        versions, device, threads) are in separate rows.
    """
    head = ["dataset", "variant", "preset", "track", "method", "group"]
    grouped = results.groupby(head, sort=False, dropna=False)
    board = grouped.agg(
        seeds=("seed", "nunique"),
        params=("params", "first"),
        fit_seconds=("fit_seconds", "mean"),
        score_seconds=("score_seconds", "mean"),
        peak_rss_mb=("peak_rss_mb", "max"),
    ).reset_index()
    outcome = pd.DataFrame([_outcome(rows) for _, rows in grouped], columns=["status", "reason"])
    board = pd.concat([board, outcome], axis=1)
    counts = [lost(rows) for _, rows in grouped]
    board["collapsed"] = [gone / ended if ended else math.nan for gone, ended in counts]
    if of_maps(results):
        board["diverged"] = [diverged(rows) for _, rows in grouped]
    averages = with_shipped(summary(results))
    match = ["dataset", "variant", "preset", "track", "method", "group"]
    columns: dict[str, pd.Series] = {}
    for (task, metric), part in averages.groupby(["task", "metric"], sort=False):
        name = f"{task}/{metric}"
        joined = board[match].merge(part, on=match, how="left")
        columns[name] = joined["mean"]
        columns[f"{name} n"] = joined["seeds"]
        columns[f"{name} std"] = joined["std"]
        columns[f"{name} ci95"] = joined["ci95"]
        columns[f"{name} pi95"] = joined["pi95"]
        columns[f"{name} pi95 of"] = joined["pi95_of"]
        if task == MAP_TASK:
            columns[f"{name} median"] = joined["median"]
        columns[f"{name} direction"] = pd.Series(part["direction"].iloc[0], index=board.index)
        known = _published(board, str(task), str(metric))
        if known["published"].notna().any():
            columns |= {f"{name} {column}": known[column] for column in known}
    return pd.concat([board.drop(columns="params"), pd.DataFrame(columns)], axis=1)


def _published(board: pd.DataFrame, task: str, metric: str) -> pd.DataFrame:
    """Return the published number of each row and its source."""
    cells = zip(board["dataset"], board["method"], board["params"], strict=True)
    found = [
        published_number(dataset, method, _read(params), task, metric)
        for dataset, method, params in cells
    ]
    numbers = [(one.value, one.source) if one else (math.nan, None) for one in found]
    return pd.DataFrame(numbers, index=board.index, columns=["published", "source"])


def _read(params: Any) -> dict[str, Any]:
    """Read the column ``params``, which is missing for methods that could not run."""
    return json.loads(params) if isinstance(params, str) else {}


def _outcome(rows: pd.DataFrame) -> tuple[str, str]:
    """Return the worst status among the rows, and its reasons."""
    rank = {"skipped": 0, "ok": 1}
    worst = max(rows["status"], key=lambda status: rank.get(status, 2))
    told = rows[rows["status"] == ("skipped" if worst == "ok" else worst)]
    return worst, "; ".join(dict.fromkeys(told["reason"].dropna()))


def write_tables(
    out: Path, rejected: Iterable[dict[str, Any]] = (), known: Iterable[dict[str, Any]] = ()
) -> list[Path]:
    """Write the long table and the leaderboard of each data set to a results folder.

    Smoke runs have separate files, because their numbers are meaningless.

    Parameters
    ----------
    out : Path
    rejected : iterable of dict
        Rows for methods that could not run.
    known : iterable of dict
        Records that have already been read.

    Returns
    -------
    list of Path
        The leaderboards.
    """
    results = table([*_read_records(out, known), *rejected])
    smoke = results["preset"].str.startswith("smoke")
    written = []
    for suffix, part in (("", results[~smoke]), ("-smoke", results[smoke])):
        for dataset, rows in part.groupby("dataset", sort=False):
            stem = f"{slug(str(dataset))}{suffix}"
            _write_csv(rows, out / f"results-{stem}.csv")
            try:
                with whole(out / f"results-{stem}.parquet") as temporary:
                    rows.to_parquet(temporary, index=False)
            except Exception as error:  # noqa: BLE001 - the same rows are in the CSV
                warnings.warn(f"no results-{stem}.parquet: {describe(error)}", stacklevel=2)
            path = out / f"leaderboard-{stem}.csv"
            _write_csv(leaderboard(shown(rows, out)), path)
            written.append(path)
    return written


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table atomically; text that a spreadsheet would take for a formula is quoted."""
    texts = frame.select_dtypes(include=["object", "string"]).columns
    plain = frame.assign(
        **{
            name: [no_formula(v) if isinstance(v, str) else v for v in frame[name]]
            for name in texts
        }
    )
    with whole(path) as temporary:
        plain.to_csv(temporary, index=False, float_format="%.6g" if "seeds" in frame else None)
