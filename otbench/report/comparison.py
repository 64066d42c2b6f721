"""The table of ``otbench compare``."""

from __future__ import annotations

import math

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otbench.report.terminal import ARROWS, number, output_console
from otbench.results.comparison import POWER, SAME_DATA

STYLES = {"better": "bold green", "worse": "bold red", "different": "bold"}


def print_comparison(table: pd.DataFrame, a: str, b: str, console: Console | None = None) -> None:
    """Print one table per data set: both means, their difference with its interval, the verdict.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `otbench.results.comparison.compare`.
    a, b : str
        Names of what was compared.
    console : rich.console.Console, optional
        By default, the standard output.
    """
    console = output_console(console)
    by_method = "method" in table.columns
    for key, part in table.groupby(SAME_DATA, sort=False, dropna=False):
        names = dict(zip(SAME_DATA, key, strict=True))
        console.print(
            Text(f"\n{names['dataset']}, variant {names['variant']}, preset {names['preset']}"),
            style="bold",
        )
        console.print(_table(part, a, b, by_method))
    pairs = sorted({int(n) for n in table["pairs"]})
    console.print(
        f"Paired by seed ({', '.join(map(str, pairs))} pairs). Intervals: 95 %, paired t. p: "
        f"Holm over the metrics of a data set.\nP(better): probability that a run of {b} beats a "
        f"run of {a}. Seeds: pairs that detect a difference of this size in {POWER:.0%} of cases."
    )
    if pairs[0] < 5:
        console.print("Fewer than five pairs detect only large differences; run with --seeds 5.")


def _table(part: pd.DataFrame, a: str, b: str, by_method: bool) -> Table:
    table = Table(header_style="bold")
    for name in [*(["method"] if by_method else []), "task", "metric"]:
        table.add_column(name, overflow="fold")
    for name in (a, b, "difference", "95 % interval", "effect", "P(better)", "p", "seeds"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in part.to_dict("records"):
        interval = "–"
        if not math.isnan(row["low"]):
            interval = f"{number(row['low'])} to {number(row['high'])}"
        needed = row["seeds_needed"]
        table.add_row(
            *([row["method"]] if by_method else []),
            row["task"],
            Text(f"{row['metric']} {ARROWS[row['direction']]}".rstrip()),
            number(row["mean_a"]),
            number(row["mean_b"]),
            number(row["difference"]),
            interval,
            _or_dash(row["effect"], ".2f"),
            _or_dash(row["improvement"], ".2f"),
            _or_dash(row["p_holm"], ".2g"),
            "–" if needed is None or math.isnan(needed) else f"{needed:.0f}",
            Text(row["verdict"], style=STYLES.get(row["verdict"], "")),
        )
    return table


def _or_dash(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
