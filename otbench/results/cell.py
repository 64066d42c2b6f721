"""A cell: one method with its parameters, one dataset, one preset, one seed; and its files.

Files, not pickles, pass between the processes. A cell's folder holds ``cell.json`` (what is
asked), ``progress.json`` (where it stands), ``cell.log``, ``model/`` (what was learned),
``gallery.npz`` (pictures) and ``record.json`` (what came out), each written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otbench.interface.parameters import with_tuples
from otbench.plugins.registry import Plugin
from otbench.presets import Sizes

PROTOCOL = "1"
"""Version of tasks and metrics together; numbers of different protocols are never mixed."""


@dataclass(frozen=True)
class Cell:
    """What is trained, on what, and for how long.

    Attributes
    ----------
    method, dataset : str
        Labels: the name with the parameters that differ from the defaults.
    parameters, dataset_parameters : dict
        All declared parameters with their values.
    plugin, dataset_plugin : Plugin
    variant, data_sha256 : str
        Of the data in use.
    track, preset : str
    seed, steps, batch_size : int
    seconds : float or None
        Cap on the training time.
    sizes : Sizes
    code_sha256 : str
        Digest of the method's source and of what it imports from its own package and the suite.
    protocol : str
    """

    method: str
    parameters: dict[str, Any]
    plugin: Plugin
    dataset: str
    dataset_parameters: dict[str, Any]
    dataset_plugin: Plugin
    variant: str
    data_sha256: str
    track: str
    preset: str
    seed: int
    steps: int
    batch_size: int
    seconds: float | None
    sizes: Sizes
    code_sha256: str
    protocol: str = PROTOCOL

    @property
    def key(self) -> str:
        """Digest of everything that decides the result; where a package lies does not."""
        content = dataclasses.asdict(self)
        for name in ("plugin", "dataset_plugin"):
            content[name] = content[name]["name"]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:16]

    @property
    def folder_name(self) -> str:
        """A readable name with the key in it."""
        return f"{slug(self.method)}-s{self.seed}-{self.key}"

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Cell:
        """Read back what ``dataclasses.asdict`` made of a cell."""
        content = dict(content)
        content["plugin"] = Plugin(**content["plugin"])
        content["dataset_plugin"] = Plugin(**content["dataset_plugin"])
        content["sizes"] = Sizes(**content["sizes"])
        for name in ("parameters", "dataset_parameters"):
            content[name] = with_tuples(content[name])
        return cls(**content)


@dataclass(frozen=True)
class Job:
    """A cell in its folder, with the metrics wanted of it now.

    Attributes
    ----------
    cell : Cell
    folder : Path
    metrics : dict of str to list of str
        For each task the metrics to score, as text.
    unavailable : dict of str to str
        Metrics that cannot be scored in this run, with the reason.
    device : str
    threads : int
    cost : float
        Expected training time relative to other jobs; the longest start first.
    provenance : dict
        Commit, dirty flag and versions, stored with the record.
    fresh : bool
        Train and score anew, whatever lies in the folder.
    rescore : bool
        Score all that is wanted anew; what has been scored stays until then.
    """

    cell: Cell
    folder: Path
    metrics: dict[str, list[str]]
    unavailable: dict[str, str]
    device: str
    threads: int
    cost: float
    provenance: dict[str, Any]
    fresh: bool = False
    rescore: bool = False

    def write(self) -> None:
        """Put ``cell.json`` into the folder."""
        content = dataclasses.asdict(self) | {"key": self.cell.key, "folder": None}
        write_json(self.folder / "cell.json", content)

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read ``cell.json`` from the folder."""
        content = read_json(folder / "cell.json")
        del content["key"]
        return cls(**content | {"cell": Cell.from_json(content["cell"]), "folder": folder})

    def record(self) -> dict[str, Any] | None:
        """Return the record in the folder; None where there is none or it cannot be read."""
        try:
            record = read_json(self.folder / "record.json")
        except (OSError, ValueError):
            return None
        return record if record.get("key") == self.cell.key else None

    def previous(self) -> dict[str, Any]:
        """Return the record to build on: empty where there is none or a fresh one is wanted."""
        return {} if self.fresh else self.record() or {}

    def write_record(self, **content: Any) -> dict[str, Any]:
        """Put ``record.json`` into the folder, the cell and then the content; return it."""
        record = {
            "key": self.cell.key,
            "cell": dataclasses.asdict(self.cell),
            "device": self.device,
            "provenance": self.provenance,
        }
        record |= content
        write_json(self.folder / "record.json", record)
        return record


def canonical(content: Any) -> str:
    """Serialise to JSON in one form only, for digests."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def slug(text: str) -> str:
    """Make a label fit for a file name."""
    return re.sub(r"[^\w.=-]+", "_", text).strip("_")[:80]


def write_json(path: Path, content: Any) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=1, allow_nan=False)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object")
    return content
