"""Progress of a running cell, which its worker writes to ``progress.json``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from otbench.results.cell import read_json

FILE = "progress.json"


def read_progress(folder: Path) -> dict[str, Any]:
    """Return the progress that a worker wrote.

    Parameters
    ----------
    folder : Path
        Folder of the cell.

    Returns
    -------
    dict
        ``stage`` and, in the stage ``fit``, also ``step``, ``steps``, ``seconds`` and ``losses``.
        Empty if the file is missing or invalid.
    """
    try:
        content = read_json(folder / FILE)
    except (OSError, ValueError):
        return {}
    if not isinstance(content.get("stage"), str):
        return {}
    if "step" not in content and content["stage"] != "fit":
        return content
    blank: dict[str, Any] = {"seconds": 0.0, "losses": {}}
    content = blank | content
    counts = [content.get(name) for name in ("step", "steps")]
    losses = content.get("losses")
    well = (
        all(_is_number(count) and isinstance(count, int) and count >= 0 for count in counts)
        and _is_number(content["seconds"])
        and 0 <= content["seconds"] < 2**63
        and isinstance(losses, dict)
        and all(map(_is_number, losses.values()))
    )
    return content if well else {}


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
