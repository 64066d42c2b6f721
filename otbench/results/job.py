"""A cell in its folder, with the metrics wanted of it now.

Files, not pickles, pass between the processes. A cell's folder holds ``cell.json`` (what was
trained), ``progress.json`` (where it stands), ``cell.log``, ``model/`` (what was learned),
``gallery.npz`` (pictures) and ``record.json`` (what came out), each written whole or not at all.
While a process works on the cell there is also its own ``request-ATTEMPT.json``.
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
    """A cell in its folder, with the metrics wanted of it now.

    Attributes
    ----------
    cell : Cell
    folder : Path
    metrics : dict of str to list of str
        For each task the metrics to score, as text.
    digests : dict of str to str
        For each ``task/text`` the digest of all that decides the score beside the model.
    unavailable : dict of str to str
        Metrics that cannot be scored in this run, with the reason.
    sizes : Sizes
    reference : bool
        Whether the method is a reference that learns nothing.
    cost : float
        Expected training time relative to other jobs; the longest start first.
    provenance : dict
        Commit, dirty flag and versions, stored with the record.
    attempt : str
        Names this attempt; the record repeats it.
    fresh : bool
        Train and score anew, whatever lies in the folder.
    rescore : bool
        Score all that is wanted anew; what has been scored stays until then.
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
        """The file by which a worker is told what to do; no other attempt reads it."""
        return self.folder / f"request-{self.attempt}.json"

    def write(self) -> None:
        """Put ``cell.json`` and the request into the folder."""
        cell = dataclasses.asdict(self.cell)
        write_json(self.folder / "cell.json", {"key": self.cell.key, "cell": cell})
        write_json(self.request, dataclasses.asdict(self) | {"folder": None})

    @classmethod
    def read(cls, request: Path) -> Job:
        """Read what `write` wrote."""
        content = read_json(request)
        content["cell"] = Cell.from_json(content["cell"])
        content["sizes"] = Sizes(**content["sizes"])
        return cls(**content | {"folder": request.parent})

    def record(self) -> Record | None:
        """Return the record in the folder; None where there is none or it cannot be read."""
        try:
            record = read_record(self.folder / "record.json")
        except (FileNotFoundError, BadRecord):
            return None
        return record if record["key"] == self.cell.key else None

    def write_record(self, **content: Any) -> Record:
        """Put ``record.json`` into the folder, the cell and then the content; return it."""
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
