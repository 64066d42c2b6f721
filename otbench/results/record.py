"""Records of the results of cells, and a reader that validates their files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from otbench.results.cell import Cell
from otbench.results.text import clean

SCHEMA = 2
"""Version of the record format; records of other versions are ignored."""

COLLAPSED, DIVERGED = "collapsed", "diverged"
LOST = (COLLAPSED, DIVERGED)
"""Statuses of trainings that ended in order and led to no model that works."""

STATUSES = (
    "ok", "failed", *LOST, "timeout", "oom", "skipped", "not_installed", "interrupted",
)  # fmt: skip

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


class BadRecord(ValueError):
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
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadRecord(error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not valid JSON: {clean(str(error))}") from error
    if not isinstance(record, dict):
        raise BadRecord("not a JSON object")
    if record.get("schema") != SCHEMA:
        raise BadRecord(
            f"this version cannot read records of format {record.get('schema', 1)!r}, only of "
            f"format {SCHEMA}; run the command again"
        )
    _check(record, FIELDS, "")
    for number, row in enumerate(record["rows"]):
        if not isinstance(row, dict):
            raise BadRecord(f"row {number} is not a JSON object")
        _check(row, ROW, f"row {number}: ")
        row["reason"] = None if row["reason"] is None else clean(row["reason"])
    record["reason"] = None if record["reason"] is None else clean(record["reason"])
    try:
        cell = Cell.from_json(record["cell"])
        agrees = (cell.key, cell.group) == (record["key"], record["group"])
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise BadRecord(f"its cell cannot be read: {clean(str(error))}") from error
    if not agrees:
        raise BadRecord("its key is not that of its cell: the file was edited or misplaced")
    return record


def _check(content: dict[str, Any], fields: dict[str, tuple[type, ...]], where: str) -> None:
    for name, types in fields.items():
        if name not in content:
            raise BadRecord(f"{where}{name} is missing")
        value = content[name]
        fits = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            kinds = " or ".join("null" if t is type(None) else t.__name__ for t in types)
            raise BadRecord(f"{where}{name} must be {kinds}, got {clean(repr(value), 60)}")
    if content["status"] not in STATUSES:
        raise BadRecord(f"{where}unknown status {clean(content['status'], 60)!r}")
