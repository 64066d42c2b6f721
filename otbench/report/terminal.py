"""The tables at the end of a run."""

from __future__ import annotations

import math

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otbench.results.shipped import with_shipped
from otbench.results.statistics import (
    DIVERGED_UVP,
    UVP_METRIC,
    diverged,
    lost,
    of_maps,
    summary,
)

ARROWS = {"higher": "↑", "lower": "↓", "neutral": ""}
ROUNDING = 1e-9
"""Relative spread that counts as none."""

SHIPPED = "*"
"""Marks a spread that is not of the run itself but of the reference runs."""

LOST_COLUMN = "collapsed,\ndiverged"

PLAIN_WIDTH = 160
"""Width in characters of a table that is written to a file or a pipe."""


def number(value: float) -> str:
    """Write a number with about four significant digits."""
    if not math.isfinite(value) or (value == int(value) and abs(value) < 1e5):
        return f"{value:g}"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        return f"{value:.2e}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}"


def cell_text(row: pd.Series, seeds: int = 1) -> str:
    """Write a mean with the 95 % interval over trainings.

    The spread within the test set says nothing about another training. A single training is given
    that of the reference runs which are shipped with the suite, marked by `SHIPPED`, and none where
    there are no such runs. For a reference, which learns nothing, that within the test set is the
    only one and gives the interval. The unexplained variance of a map that has diverged is printed
    as just above 100, as in papers.

    Parameters
    ----------
    row : pandas.Series
        A row of `with_shipped`.
    seeds : int
        Number of seeds that ran; if fewer have a value, both numbers are printed.
    """
    reference = row["reference"] == True  # noqa: E712 - missing is neither
    if row["metric"] == UVP_METRIC and row["mean"] > DIVERGED_UVP and not reference:
        return ">100"
    alone = row["stderr"] if reference else row.get("pi95", math.nan)
    spread = row["ci95"] if row["seeds"] > 1 else alone
    text = _with_spread(row, spread)
    if "±" in text and row["seeds"] == 1 and not reference:
        text += SHIPPED
    return f"{text} ({row['seeds']} of {seeds})" if row["seeds"] < seeds else text


def _with_spread(row: pd.Series, spread: float) -> str:
    text = number(row["mean"])
    if pd.isna(spread) or spread <= ROUNDING * abs(row["mean"]):
        return text
    decimals = len(text.partition(".")[2])
    if "e" in text or spread < 0.5 * 10**-decimals:
        return f"{text} ±{spread:.0e}"
    return f"{text} ±{spread:.{decimals}f}"


def heading(metric: str, direction: str) -> Text:
    """Write a metric's id on several lines: name and arrow, then its protocol."""
    name, bracket, protocol = metric.partition("[")
    lines = [f"{name} {ARROWS[direction]}".rstrip()]
    if bracket:
        lines += protocol.removesuffix("]").split(",")
    return Text("\n".join(lines), overflow="fold")


def winners(part: pd.DataFrame) -> set[str]:
    """Return the methods whose intervals over seeds lie clear of all others on the better side.

    Parameters
    ----------
    part : pandas.DataFrame
        Rows of `summary` for one metric.
    """
    direction = part["direction"].iloc[0] if len(part) else "neutral"
    if direction == "neutral" or len(part) < 2 or part["ci95"].isna().any():
        return set()
    sign = 1 if direction == "higher" else -1
    low = sign * part["mean"] - part["ci95"]
    high = sign * part["mean"] + part["ci95"]
    best = int(low.to_numpy().argmax())
    clear = (high.drop(high.index[best]) < low.iloc[best]).all()
    return {str(part["method"].iloc[best])} if clear else set()


def output_console(console: Console | None = None) -> Console:
    """Return a console on the standard output, with a fixed width if that is not a terminal."""
    console = console or Console(highlight=False)
    if console.is_terminal:
        return console
    return Console(file=console.file, width=PLAIN_WIDTH, highlight=False)


def print_tables(results: pd.DataFrame, console: Console | None = None) -> None:
    """Print one table per task, with methods as rows, then the reasons for missing values.

    Parameters
    ----------
    results : pandas.DataFrame
        Long table of one data set and preset.
    console : rich.console.Console, optional
        By default, the standard output.
    """
    console = output_console(console)
    averages = with_shipped(summary(results))
    methods = list(dict.fromkeys(results["method"]))
    trained = results[results["reference"] != True]  # noqa: E712 - missing is neither
    seeds = trained["seed"].nunique()
    spread = f"± 95 % interval over {seeds} trainings" if seeds > 1 else "one training"
    # Columns that serve comparison only are separate from the main ones.
    legacy = [", legacy" if "legacy" in str(metric) else "" for metric in averages["metric"]]
    titles = [f"{task}{mark}" for task, mark in zip(averages["task"], legacy, strict=True)]
    for title, part in averages.groupby(titles, sort=False):
        console.print(Text(f"\n{title} ({spread})", style="bold"))
        of_task = results[results["task"] == part["task"].iloc[0]]
        gone = {str(method): lost(rows) for method, rows in of_task.groupby("method", sort=False)}
        for columns in _fitting(part, methods, console.width):
            console.print(_table(part[part["metric"].isin(columns)], methods, seeds, gone))
    for line in [*_footnote(averages), *divergences(results, averages), *reasons(results)]:
        console.print(Text(line))


def _footnote(averages: pd.DataFrame) -> list[str]:
    """Say what the mark beside ± stands for, where there is one."""
    marked = averages[averages["pi95_of"].notna() & (averages["pi95_of"] != "own")]
    if marked.empty:
        return []
    of = ", ".join(
        f"{method} {', '.join(sorted({str(n).split()[0] for n in part['pi95_of']}))}"
        for method, part in marked.groupby("method", sort=False)
    )
    return [
        f"{SHIPPED} one training; 95 % of further trainings lie this near, judged by the shipped "
        f"reference runs of the same method, data and preset (runs: {of})"
    ]


def _fitting(part: pd.DataFrame, methods: list[str], width: int) -> list[list[str]]:
    """Divide the metrics, in order, among tables that fit the width without wrapping a word."""
    left = width - max(map(len, methods)) - 4 - (len(LOST_COLUMN.split("\n")[0]) + 3)
    tables: list[list[str]] = [[]]
    free = left
    for metric, rows in part.groupby("metric", sort=False):
        lines = heading(str(metric), rows["direction"].iloc[0]).plain.split("\n")
        needed = max(map(len, [*lines, *(cell_text(row) for _, row in rows.iterrows())])) + 3
        if needed > free and tables[-1]:
            tables.append([])
            free = left
        tables[-1].append(str(metric))
        free -= needed
    return tables


def _table(
    part: pd.DataFrame, methods: list[str], seeds: int, gone: dict[str, tuple[int, int]]
) -> Table:
    """Arrange rows of `summary` with methods as rows, metrics as columns and references last.

    Where a training collapsed or diverged there is a column with how many did, by ``gone``.
    """
    table = Table(header_style="bold")
    table.add_column("method", no_wrap=True)
    some_lost = any(number for number, _ in gone.values())
    if some_lost:
        table.add_column(LOST_COLUMN, justify="right", no_wrap=True)
    columns = list(dict.fromkeys(part["metric"]))
    references = set(part.loc[part["reference"] == True, "method"])  # noqa: E712
    ranked = part[~part["method"].isin(references)]
    best = {metric: winners(ranked[ranked["metric"] == metric]) for metric in columns}
    for metric in columns:
        direction = part.loc[part["metric"] == metric, "direction"].iloc[0]
        table.add_column(heading(metric, direction), justify="right")
    apart = False
    for method in sorted(methods, key=lambda name: name in references):
        own = part[part["method"] == method].drop_duplicates("metric", keep="last")
        own = own.set_index("metric", drop=False)
        if method in references and not apart:
            table.add_section()
            apart = True
        texts = [
            Text(cell_text(own.loc[m], seeds), style="bold" if method in best[m] else "")
            if m in own.index
            else Text("–", style="dim")
            for m in columns
        ]
        number, of = gone.get(method, (0, 0))
        shares = [Text(f"{number} of {of}", style="bold red" if number else "")]
        if len(own) or number:
            table.add_row(Text(method), *(shares if some_lost else []), *texts)
    return table


def divergences(results: pd.DataFrame, averages: pd.DataFrame) -> list[str]:
    """List the maps that diverged, the number of seeds, and the median of the scored seeds."""
    lines: list[str] = []
    if not of_maps(results):
        return lines
    uvp = averages[averages["metric"] == UVP_METRIC]
    scored = {str(row["method"]): row for _, row in uvp.iterrows()}
    for method, rows in results.groupby("method", sort=False):
        share = diverged(rows)
        if not share > 0:
            continue
        line = f"{method}: diverged in {share:.0%} of its seeds (failed, or {UVP_METRIC} above 100)"
        if str(method) in scored:
            known = scored[str(method)]
            line += f"; median {number(known['median'])} over {known['seeds']} with a score"
        lines.append(line)
    return lines


def reasons(results: pd.DataFrame) -> list[str]:
    """List why values are missing, one line for each method, status and reason."""
    missing = results[results["status"] != "ok"]
    lines = []
    for (method, status, reason), part in missing.groupby(
        ["method", "status", "reason"], sort=False, dropna=False
    ):
        tasks = ", ".join(dict.fromkeys(str(t) for t in part["task"].dropna()))
        where = f" ({tasks})" if tasks else ""
        lines.append(f"{method}{where}: {status}: {reason}")
    return lines
