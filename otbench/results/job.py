"""Jobs: a cell, its folder, and the metrics that are requested for it.

Processes communicate by files, never by pickles. The folder of a cell holds ``cell.json`` (the
identity of the model), ``progress.json`` (the current state), ``cell.log``, ``model/`` (the trained
model), ``gallery.npz`` (pictures) and ``record.json`` (the results), each written atomically. While
a process works on the cell, its ``request-ATTEMPT.json`` is there, too.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otbench.presets import Sizes
from otbench.results.cell import Cell, read_json, write_json
from otbench.results.record import SCHEMA, BadRecord, Record, read_record
from otbench.results.text import clean


@dataclass(frozen=True)
class Job:
    """A cell, its folder, and the metrics that are requested for it.

    Attributes
    ----------
    cell : Cell
    folder : Path
    metrics : dict of str to list of str
        Metrics to score for each task, as text.
    digests : dict of str to str
        For each ``task/text``, the digest of everything except the model that determines the score.
    unavailable : dict of str to str
        Metrics that cannot be scored in this run, with the reason.
    sizes : Sizes
    reference : bool
        Whether the method is a reference that learns nothing.
    cost : float
        Expected training time relative to other jobs; the longest start first.
    provenance : dict
        Commit, dirty flag and versions, which the record includes.
    attempt : str
        Name of this attempt, which the record includes.
    fresh : bool
        Whether to train and score again, regardless of earlier results in the folder.
    rescore : bool
        Whether to score all requested metrics again; earlier scores are kept until then.
    """

    cell: Cell
    folder: Path
    metrics: dict[str, list[str]]
    digests: dict[str, str]
    unavailable: dict[str, str]
    sizes: Sizes
    reference: bool
    cost: float
    provenance: dict[str, Any]
    attempt: str
    fresh: bool = False
    rescore: bool = False

    @property
    def request(self) -> Path:
        """The file that holds the request for the worker of this attempt."""
        return self.folder / f"request-{self.attempt}.json"

    def write(self) -> None:
        """Write ``cell.json`` and the request to the folder."""
        cell = dataclasses.asdict(self.cell)
        write_json(self.folder / "cell.json", {"key": self.cell.key, "cell": cell})
        write_json(self.request, dataclasses.asdict(self) | {"folder": None})

    @classmethod
    def read(cls, request: Path) -> Job:
        """Read a request that `write` wrote."""
        content = read_json(request)
        content["cell"] = Cell.from_json(content["cell"])
        content["sizes"] = Sizes(**content["sizes"])
        return cls(**content | {"folder": request.parent})

    def record(self) -> Record | None:
        """Return the record in the folder, or None if there is no readable one."""
        try:
            record = read_record(self.folder / "record.json")
        except (FileNotFoundError, BadRecord):
            return None
        return record if record["key"] == self.cell.key else None

    def write_record(self, **content: Any) -> Record:
        """Write ``record.json`` with the cell and the given content, and return the record."""
        record = {
            "schema": SCHEMA,
            "key": self.cell.key,
            "group": self.cell.group,
            "cell": dataclasses.asdict(self.cell),
            "attempt": self.attempt,
            "reference": self.reference,
            "provenance": self.provenance,
            **content,
        }
        if record.get("reason") is not None:
            record["reason"] = clean(record["reason"])
        write_json(self.folder / "record.json", record)
        return record
