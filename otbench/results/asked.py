"""The cells that the last commands requested, which the tables of a results folder show.

One label may have results from several versions of code, data or libraries. The file
``asked.json`` records which of them was requested last; timestamps are not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from otbench.results.cell import Cell, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

FILE = "asked.json"
LINE = ("dataset", "preset", "track", "method")
"""The columns that identify a line of a table for the user; the group identifies its cells."""


def remember(out: Path, cells: Iterable[Cell]) -> None:
    """Record that these cells were requested.

    Parameters
    ----------
    out : Path
        The results folder.
    cells : iterable of Cell
    """
    with FileLock(out / f".{FILE}.lock"):
        known = asked(out)
        known |= {_line(*(getattr(cell, name) for name in LINE)): cell.group for cell in cells}
        write_json(out / FILE, known)


def asked(out: Path) -> dict[str, str]:
    """Return the group that was requested last for each line; empty without a readable file."""
    try:
        content = read_json(out / FILE)
    except (OSError, ValueError, RecursionError):
        return {}
    return {line: group for line, group in content.items() if isinstance(group, str)}


def shown(results: pd.DataFrame, out: Path) -> pd.DataFrame:
    """Remove the rows that the last commands did not request.

    All groups of a line are kept if no request for it is recorded.

    Parameters
    ----------
    results : pandas.DataFrame
        The long table of the folder.
    out : Path
    """
    known = asked(out)
    wanted = [
        known.get(_line(*line), group)
        for *line, group in results[[*LINE, "group"]].itertuples(index=False, name=None)
    ]
    same = results["group"].isna() | (results["group"] == wanted)
    return results[same]


def _line(*names: object) -> str:
    return json.dumps([str(name) for name in names])
