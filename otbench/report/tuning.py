"""Tables of ``otbench tune``: the trials of each method, and what was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from otbench.files import whole
from otbench.plugins.selection import Spec, parse_one
from otbench.results.cell import read_json

CHOSEN = "chosen.csv"
COLUMNS = [
    "dataset", "preset", "method", "status", "chosen", "value", "default_value", "trials", "lost",
    "objective", "direction", "steps", "seeds",
]  # fmt: skip


def write_tuning(folder: Path) -> pd.DataFrame:
    """Write ``NAME.csv`` beside each log ``NAME.json``, and ``chosen.csv``; return the latter.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    pandas.DataFrame
        One row a log: the setting with the best value, its value, that of the defaults (missing
        where their training was lost), how many trials there are and how many were lost.
    """
    rows = []
    for file in sorted(folder.glob("*.json")):
        content = read_json(file)
        trials = [_trial(trial) for trial in content["trials"]]
        _write(pd.DataFrame(trials), file.with_suffix(".csv"))
        rows.append(_chosen(content["setting"], trials, content["trials"]))
    chosen = pd.DataFrame(rows, columns=COLUMNS)
    _write(chosen, folder / CHOSEN)
    return chosen


def _trial(trial: dict[str, Any]) -> dict[str, Any]:
    """Lay a trial out flat."""
    good = trial["status"] == "ok" and trial["values"]
    value = sum(trial["values"]) / len(trial["values"]) if good else None
    known = {"number": trial["number"], **trial["parameters"], "value": value}
    return known | {name: trial[name] for name in ("status", "reason", "seconds")}


def _chosen(
    setting: dict[str, Any], flat: list[dict[str, Any]], trials: list[dict[str, Any]]
) -> dict[str, Any]:
    objective = setting["objective"]
    sign = -1 if objective["direction"] == "lower" else 1
    scored = [(sign * one["value"], -one["number"]) for one in flat if one["value"] is not None]
    best = -max(scored)[1] if scored else None
    return {
        "dataset": setting["dataset"],
        "preset": setting["preset"],
        "method": setting["method"],
        "status": "failed" if best is None else "ok",
        "chosen": None if best is None else _label(setting["method"], trials[best]["parameters"]),
        "value": None if best is None else flat[best]["value"],
        "default_value": flat[0]["value"],
        "trials": len(flat),
        "lost": sum(one["value"] is None for one in flat),
        "objective": " + ".join(objective["metrics"]),
        "direction": objective["direction"],
        "steps": setting["steps"],
        "seeds": len(setting["seeds"]),
    }


def _label(method: str, values: dict[str, Any]) -> str:
    """Return the selection that stands for a method with the values chosen."""
    (spec,) = parse_one(method)
    return Spec(spec.name, (*spec.parameters, *values.items())).label


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
