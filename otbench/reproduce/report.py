"""The report of a reproduction: table, verdicts and picture."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otbench.errors import describe
from otbench.report.terminal import ARROWS, cell_text, number, output_console
from otbench.reproduce.declaration import Reproduction
from otbench.reproduce.expression import FAILS, HOLDS
from otbench.reproduce.measure import LARGE, Measured, measured
from otbench.reproduce.pictures import draw
from otbench.reproduce.verdict import FEW, OPEN, SHOWN, UNKNOWN, VOID, Verdict, judge
from otbench.results.cell import read_json, write_json
from otbench.run.runner import Outcome

STYLES = {
    HOLDS: "bold green", FAILS: "bold red", OPEN: "bold yellow", FEW: "yellow", VOID: "red",
    SHOWN: "dim", UNKNOWN: "dim",
}  # fmt: skip


@dataclass
class Presented:
    """A reproduction with its results.

    Attributes
    ----------
    reproduction : Reproduction
    preset : str
    numbers : list of Measured
    verdicts : list of Verdict
    written : list of Path
    """

    reproduction: Reproduction
    preset: str
    numbers: list[Measured]
    verdicts: list[Verdict]
    written: list[Path]

    @property
    def content(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "id": self.reproduction.id,
            "title": self.reproduction.title,
            "paper": self.reproduction.paper,
            "note": self.reproduction.note,
            "preset": self.preset,
            "methods": dict(self.reproduction.methods),
            "numbers": [one.row() | {"values": one.values} for one in self.numbers],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "files": [path.name for path in self.written],
        }

    def print(self, console: Console | None = None) -> None:
        """Print table, verdicts and files to the standard output."""
        console = output_console(console)
        one = self.reproduction
        console.print(Text(f"\n{one.id}  {one.title}", style="bold"))
        console.print(Text(f"{one.paper}; preset {self.preset}", style="dim"))
        console.print(_table(one, self.numbers))
        for method, selection in one.methods.items():
            console.print(Text(f"  {method}: {selection}", style="dim"), soft_wrap=True)
        for verdict in self.verdicts:
            line = Text(f"{verdict.status.upper():>20}  ", style=STYLES[verdict.status])
            line.append(f"{verdict.says}\n", style="default")
            line.append(f"{'':22}{verdict.detail}", style="dim")
            console.print(line, soft_wrap=True)
        for reason in _reasons(self.numbers):
            console.print(Text(reason), soft_wrap=True)
        if one.note:
            console.print(Text(f"note: {one.note}", style="dim"), soft_wrap=True)
        for path in self.written:
            console.print(Text(f"wrote {path}"), soft_wrap=True)


def present(
    reproduction: Reproduction, outcome: Outcome, first: int, out: Path, preset: str
) -> Presented:
    """Collect the numbers, judge the claims, draw the picture, and write all of them to files.

    Parameters
    ----------
    reproduction : Reproduction
    outcome : Outcome
    first : int
        Index of the reproduction's first sweep in the request.
    out : Path
        The results folder; files are written to its folder ``reproduce/``.
    preset : str
    """
    numbers = measured(reproduction, outcome, first)
    verdicts = [judge(claim, numbers) for claim in reproduction.claims]
    stem = _stem(reproduction, out)
    stem.parent.mkdir(parents=True, exist_ok=True)
    picture = None
    try:
        picture = draw(reproduction, outcome, first, numbers, stem.with_suffix(".png"))
    except Exception as error:  # noqa: BLE001 - a picture is no reason to lose a table
        warnings.warn(f"no {stem.with_suffix('.png')}: {describe(error)}", stacklevel=2)
    table = stem.with_suffix(".csv")
    pd.DataFrame([one.row() for one in numbers]).to_csv(table, index=False, float_format="%.6g")
    written = [path for path in (picture, table) if path] + [stem.with_suffix(".json")]
    result = Presented(reproduction, preset, numbers, verdicts, written)
    write_json(stem.with_suffix(".json"), result.content)
    return result


def _stem(reproduction: Reproduction, out: Path) -> Path:
    return out / "reproduce" / reproduction.id.replace("/", "-")


def last_verdicts(reproduction: Reproduction, out: Path) -> str:
    """Return the counts of the last verdicts by status; empty if there are none."""
    try:
        content = read_json(_stem(reproduction, out).with_suffix(".json"))
        count = Counter(verdict["status"] for verdict in content["verdicts"])
        preset = content["preset"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"{preset}: " + ", ".join(f"{n} {status}" for status, n in count.items())


def print_summary(presented: Sequence[Presented]) -> None:
    """Print one line per claim."""
    console = output_console()
    console.print(Text("\nclaims", style="bold"))
    for one in presented:
        for verdict in one.verdicts:
            line = Text(f"{verdict.status.upper():>20}  ", style=STYLES[verdict.status])
            line.append(f"{one.reproduction.id}: {verdict.says}", style="default")
            console.print(line, soft_wrap=True)


def _table(reproduction: Reproduction, numbers: Sequence[Measured]) -> Table:
    """Arrange the numbers with runs and quantities as rows and methods as columns."""
    known = {one.address: one for one in numbers}
    table = Table(header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("quantity", no_wrap=True)
    for method in reproduction.methods:
        table.add_column(method, justify="right")
    for run in reproduction.runs:
        for quantity in reproduction.quantities:
            row = [known.get((run.name, quantity.name, m)) for m in reproduction.methods]
            if not any(one and one.values for one in row):
                continue
            measured_one = next(one for one in row if one and one.values)
            arrow = ARROWS[measured_one.direction]
            label = f"{quantity.name} {arrow}".rstrip() + f"  {measured_one.metric}"
            table.add_row(*(Text(text) for text in (run.name, label, *map(_text, row))))
        table.add_section()
    return table


def _text(one: Measured | None) -> str:
    if one is None or not (one.values or one.void):
        return "–"
    if not one.values:
        return "lost" + _published(one)
    return cell_text(pd.Series(one.row()), len(one.values) + len(one.void)) + _published(one)


def _published(one: Measured) -> str:
    if one.published is None:
        return ""
    if math.isinf(one.published):
        return f"\npaper {LARGE}"
    spread = "" if one.published_spread is None else f" ±{number(one.published_spread)}"
    return f"\npaper {number(one.published)}{spread}"


def _reasons(numbers: Sequence[Measured]) -> list[str]:
    missing = [one for one in numbers if not one.values]
    lines = [f"{one.run}, {one.method}: {one.reason}" for one in missing]
    return list(dict.fromkeys(lines))
