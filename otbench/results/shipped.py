"""The reference runs that are installed with the suite: raw rows, and the spread taken from them.

Below ``reference/`` there are for each data set ``NAME-cells.csv`` (one row a training: method,
parameters, seed, digests, times), ``NAME-values.csv`` (one row a value) and ``NAME.json``
(commands, machine, versions). ``otbench leaderboard FOLDER --raw DIR`` writes such files from a
results folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from otbench.files import whole
from otbench.results.cell import write_json
from otbench.results.columns import COLUMNS
from otbench.results.statistics import prediction

CELLS, VALUES = "-cells.csv", "-values.csv"

OF_VALUE = [
    "task", "text", "metric", "direction", "value", "stderr", "n", "score_sha256", "status",
    "reason",
]  # fmt: skip
"""Columns of the long table that may differ within a cell."""

SAME = ("dataset", "variant", "data_sha256", "preset", "track", "method", "params")
"""What a run and a reference run must share, so that the spread of one is that of the other."""

LEAST_RUNS = 5
"""Reference runs below which no spread is taken from them."""


@dataclass(frozen=True)
class Spread:
    """How far apart two trainings may lie that differ in nothing but the seed.

    Attributes
    ----------
    pi95 : float
        Half-width around the value of one training in which that of another lies with a
        probability of 95 %: t s sqrt(2), s the standard deviation over the runs.
    runs : int
        Reference runs that it is taken from.
    """

    pi95: float
    runs: int


def folder() -> Path:
    """Return where the reference runs are installed."""
    return Path(str(files("otbench.results"))) / "reference"


def shipped_names(place: Path | None = None) -> list[str]:
    """Return the data sets that there are reference runs of, as the files name them."""
    found = (place or folder()).glob(f"*{CELLS}")
    return sorted(file.name.removesuffix(CELLS) for file in found)


def shipped_runs(name: str, place: Path | None = None) -> pd.DataFrame:
    """Return the reference runs of one data set as the long table.

    Parameters
    ----------
    name : str
        One of `shipped_names`.
    place : Path, optional
        Where they lie, if not in the installed suite.
    """
    place = place or folder()
    cells = pd.read_csv(place / f"{name}{CELLS}")
    values = pd.read_csv(place / f"{name}{VALUES}")
    return cells.merge(values, on="cell", sort=False).reindex(columns=list(COLUMNS))


def write_shipped(
    results: pd.DataFrame, name: str, about: Mapping[str, Any], place: Path
) -> list[Path]:
    """Write the long table of one data set, for `shipped_runs` to read, and what made it.

    Returns the files.

    Parameters
    ----------
    results : pandas.DataFrame
    name : str
    about : mapping
        Commands, machine, versions.
    place : Path
        A folder, which is made.
    """
    results = results.sort_values(["method", "seed"], kind="stable")
    cells = results[[column for column in COLUMNS if column not in OF_VALUE]]
    values = results[["cell", *OF_VALUE]]
    written = []
    for frame, suffix in ((cells.drop_duplicates("cell"), CELLS), (values, VALUES)):
        written.append(place / f"{name}{suffix}")
        with whole(written[-1]) as temporary:
            frame.to_csv(temporary, index=False)
    write_json(place / f"{name}.json", dict(about))
    return [*written, place / f"{name}.json"]


@cache
def _spreads() -> dict[tuple[Any, ...], Spread]:
    """Return the spread of each metric of all reference runs, by what a run must share."""
    found = {}
    for name in shipped_names():
        rows = shipped_runs(name)
        scored = rows[(rows["status"] == "ok") & rows["value"].notna()]
        for key, values in scored.groupby([*SAME, "task", "metric"], sort=False)["value"]:
            if len(values) >= LEAST_RUNS:
                runs = len(values)
                found[key] = Spread(prediction(values) * math.sqrt(2 * runs / (runs + 1)), runs)
    return found


def spread_of(run: Mapping[str, Any]) -> Spread | None:
    """Return the spread of the reference runs that a run is one of, or None.

    Parameters
    ----------
    run : mapping
        What the long table says of a value in the columns `SAME`, ``task`` and ``metric``. The id
        of a metric is its protocol.
    """
    return _spreads().get(tuple(run[column] for column in (*SAME, "task", "metric")))


def with_shipped(averages: pd.DataFrame) -> pd.DataFrame:
    """Give means of a single training the spread of the reference runs.

    Parameters
    ----------
    averages : pandas.DataFrame
        What `otbench.results.statistics.summary` returns.

    Returns
    -------
    pandas.DataFrame
        With ``pi95`` filled in for single trainings where there are reference runs, and the column
        ``pi95_of``: ``own`` for the spread over the seeds of the run itself, ``N reference runs``,
        or missing.
    """
    out = averages.copy()
    of: list[str | None] = []
    spreads = []
    rows: list[dict[Any, Any]] = averages.to_dict("records")
    for row in rows:
        alone = row["seeds"] == 1 and row["reference"] != True  # noqa: E712 - or missing
        spread = spread_of(row) if alone else None
        own = "own" if row["seeds"] > 1 else None
        spreads.append(row["pi95"] if spread is None else spread.pi95)
        of.append(own if spread is None else f"{spread.runs} reference runs")
    out["pi95"], out["pi95_of"] = spreads, of
    return out
