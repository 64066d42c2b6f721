"""Which cells the last commands asked for: what the tables of a results folder show.

Below one label there may be results of several codes, data or versions. The file ``asked.json``
says which of them was asked for last; clocks say nothing.
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
"""What a line of a table is about, in words; its group says what it is."""


def remember(out: Path, cells: Iterable[Cell]) -> None:
    """Write down that these cells were asked for.

    Parameters
    ----------
    out : Path
        Results folder.
    cells : iterable of Cell
    """
    with FileLock(out / f".{FILE}.lock"):
        known = asked(out)
        known |= {_line(*(getattr(cell, name) for name in LINE)): cell.group for cell in cells}
        write_json(out / FILE, known)


def asked(out: Path) -> dict[str, str]:
    """Return the group asked for last, by line; empty where nothing is written down."""
    try:
        content = read_json(out / FILE)
    except (OSError, ValueError):
        return {}
    return {line: group for line, group in content.items() if isinstance(group, str)}


def shown(results: pd.DataFrame, out: Path) -> pd.DataFrame:
    """Leave out what the last commands did not ask for.

    A line of which nothing is written down is kept whole: its groups stand below each other.

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
