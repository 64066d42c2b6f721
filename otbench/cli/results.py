"""Reading of a results folder, for commands that run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from otbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def read_results(folder: Path, dataset: str | None, preset: str | None) -> pd.DataFrame:
    """Return the long table of a folder, optionally for one data set or preset only.

    Raises
    ------
    UsageError
        If the folder does not exist, or has no such results.
    """
    from otbench.results.tables import load_results

    try:
        results = load_results(folder)
    except FileNotFoundError as error:
        raise UsageError(f"{error}; run something first, or name its folder") from error
    for name, wanted in (("dataset", dataset), ("preset", preset)):
        if wanted:
            results = results[results[name] == wanted]
    if results.empty:
        raise UsageError(f"no results of that kind in {folder}")
    return results
