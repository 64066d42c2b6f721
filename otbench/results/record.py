"""Records of the results of cells, and a reader that validates their files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otbench.errors import DataError
from otbench.results.cell import Cell, read_json
from otbench.results.text import clean

SCHEMA = 2
"""Version of the record format; records of other versions are ignored."""

COLLAPSED, DIVERGED = "collapsed", "diverged"
LOST = (COLLAPSED, DIVERGED)
"""Statuses of trainings that ended in order and led to no model that works."""

STATUSES = (
    "ok", "failed", *LOST, "timeout", "oom", "skipped", "not_installed", "interrupted",
)  # fmt: skip

DIRECTIONS = ("higher", "lower", "neutral")

Record = dict[str, Any]

NUMBER = (int, float)
TEXT, OPTIONAL_TEXT = (str,), (str, type(None))
OPTIONAL_NUMBER = (*NUMBER, type(None))

FIELDS: dict[str, tuple[type, ...]] = {
    "key": TEXT,
    "group": TEXT,
    "cell": (dict,),
    "attempt": TEXT,
    "reference": (bool,),
    "provenance": (dict,),
    "status": TEXT,
    "reason": OPTIONAL_TEXT,
    "started_at": TEXT,
    "fit_seconds": OPTIONAL_NUMBER,
    "score_seconds": OPTIONAL_NUMBER,
    "peak_rss_mb": OPTIONAL_NUMBER,
    "rows": (list,),
    "losses": (dict,),
    "curve": (list,),
}
"""The fields of a record, with their allowed types."""

ROW: dict[str, tuple[type, ...]] = {
    "task": TEXT,
    "text": TEXT,
    "metric": TEXT,
    "direction": TEXT,
    "score_sha256": TEXT,
    "value": OPTIONAL_NUMBER,
    "stderr": OPTIONAL_NUMBER,
    "n": OPTIONAL_NUMBER,
    "status": TEXT,
    "reason": OPTIONAL_TEXT,
}
"""The fields of a row of a record, with their allowed types."""


CELL: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("method", "dataset", "variant", "data_sha256", "track", "preset"), TEXT),
    **dict.fromkeys(("code_sha256", "device"), TEXT),
    **dict.fromkeys(("seed", "steps", "batch_size", "threads"), (int,)),
    **dict.fromkeys(("parameters", "dataset_parameters", "libraries"), (dict,)),
    **dict.fromkeys(("plugin", "dataset_plugin"), (dict,)),
    "seconds": OPTIONAL_NUMBER,
}
"""What its cell holds."""

PLUGINS = ("plugin", "dataset_plugin")
PLUGIN = dict.fromkeys(("kind", "name", "value", "distribution", "version"), TEXT) | {
    "file": OPTIONAL_TEXT
}
"""What a plugin of the cell holds."""

LAST_ATTEMPT = {"attempt": TEXT, "status": TEXT, "reason": OPTIONAL_TEXT}
"""What is known of an attempt that failed where an earlier result stands."""

POINT: dict[str, tuple[type, ...]] = {"step": NUMBER, "seconds": NUMBER}
"""What a point of its curve holds; the rest are numbers."""

CLEANED = ("reason", "metric")
"""Fields whose text comes from strangers' code and exceptions."""

LARGEST_INT = 2**63
"""Whole numbers of a table are smaller."""

LONGEST_GOT = 60
"""Characters of a wrong value that are shown."""

UNSHOWABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
"""Control characters, and halves of characters, which are no text."""


class BadRecord(DataError, ValueError):
    """A file is not a valid record; the message says why, without the file's name."""


def read_record(path: Path) -> Record:
    """Read and validate a record.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    BadRecord
        If the file cannot be read, or is not a valid record.
    """
    try:
        record = read_json(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadRecord(error.strerror or str(error)) from error
    except ValueError as error:
        raise BadRecord(f"not valid JSON: {clean(str(error))}") from error
    if record.get("schema") != SCHEMA:
        raise BadRecord(
            f"this version cannot read records of format {record.get('schema', 1)!r}, only of "
            f"format {SCHEMA}; run the command again"
        )
    _check(record, FIELDS, "")
    _check_status(record, "")
    _check(record["cell"], CELL, "cell: ")
    for name in PLUGINS:
        _check(record["cell"][name], PLUGIN, f"cell: {name}: ")
    if (last := record.get("last_attempt")) is not None:
        _check(last, LAST_ATTEMPT, "last_attempt: ")
        _check_status(last, "last_attempt: ")
    for number, row in enumerate(record["rows"]):
        _check(row, ROW, f"row {number}: ")
        _check_status(row, f"row {number}: ")
        if row["direction"] not in DIRECTIONS:
            raise BadRecord(
                f"row {number}: unknown direction {clean(row['direction'], LONGEST_GOT)!r}"
            )
    for number, point in enumerate(record["curve"]):
        _check(point, POINT, f"curve, point {number}: ")
        _check(point, dict.fromkeys(point, NUMBER), f"curve, point {number}: ")
    try:
        cell = Cell.from_json(record["cell"])
        agrees = (cell.key, cell.group) == (record["key"], record["group"])
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        raise BadRecord(f"its cell cannot be read: {clean(str(error))}") from error
    if not agrees:
        raise BadRecord("its key is not that of its cell: the file was edited or misplaced")
    return record


def _check(content: Any, fields: Mapping[str, tuple[type, ...]], where: str) -> None:
    """Check that something is an object with fields of these types.

    Raises
    ------
    BadRecord
        If not.
    """
    if not isinstance(content, dict):
        raise BadRecord(f"{where}no JSON object")
    for name, types in fields.items():
        if name not in content:
            raise BadRecord(f"{where}{name} is missing")
        value = content[name]
        if name in CLEANED and isinstance(value, str):
            value = content[name] = clean(value)
        if not _fits(value, types):
            kinds = " or ".join("null" if t is type(None) else t.__name__ for t in types)
            got = clean(repr(value)[:LONGEST_GOT], LONGEST_GOT)
            raise BadRecord(f"{where}{clean(name)} must be {kinds}, got {got}")


def _fits(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    if not isinstance(value, types):
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < LARGEST_INT
    # Text that no file, table or terminal could show.
    return not isinstance(value, str) or value == "" or not UNSHOWABLE.search(value)


def _check_status(content: dict[str, Any], where: str) -> None:
    if content["status"] not in STATUSES:
        raise BadRecord(f"{where}unknown status {clean(content['status'], LONGEST_GOT)!r}")
