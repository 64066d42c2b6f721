"""A cell: one method with its parameters, one dataset, one budget, one seed; names and files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otbench.files import read_bounded, whole
from otbench.interface.parameters import with_tuples
from otbench.plugins.registry import Plugin

LONGEST_NAME, DIGITS = 80, 8
"""Characters of a label in a file name, and of the digest at the end of a longer one."""

LABELS = ("plugin", "dataset_plugin")
"""Fields of which only the name decides the result; where a package lies does not."""


@dataclass(frozen=True)
class Cell:
    """The identity of a trained model: everything that decides what is learned.

    How it is scored is no part of it: the same model is scored again where metrics, tasks or sizes
    change.

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
    code_sha256 : str
        Digest of the method's source and of what it imports from its own package and the suite.
    device : str
        ``cpu``, ``cuda`` or ``mps``.
    threads : int
        Of the CPU: sums in another order give other weights.
    libraries : dict of str to str
        Versions of the libraries that compute.
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
    code_sha256: str
    device: str
    threads: int
    libraries: dict[str, str]

    @property
    def key(self) -> str:
        """Digest of all of it."""
        return self._digest()

    @property
    def group(self) -> str:
        """Digest of all but the seed: what may be averaged."""
        return self._digest(without="seed")

    def _digest(self, without: str = "") -> str:
        content = dataclasses.asdict(self)
        content.pop(without, None)
        for name in LABELS:
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
        for name in LABELS:
            content[name] = Plugin(**content[name])
        for name in ("parameters", "dataset_parameters"):
            content[name] = with_tuples(content[name])
        return cls(**content)


def canonical(content: Any) -> str:
    """Serialise to JSON in one form only, for digests."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def slug(text: str) -> str:
    """Make a label fit for a file name.

    One that is cut, or holds characters that a name of a method or parameter cannot, ends in a
    digest of the whole, so that two labels never share a file.
    """
    name = re.sub(r"[^\w.=-]+", "_", text, flags=re.ASCII).strip("_")
    if len(name) <= LONGEST_NAME and re.fullmatch(r"[\w.=\-\[\],:]*", text, flags=re.ASCII):
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    return f"{name[: LONGEST_NAME - DIGITS - 1]}-{digest}"


def write_json(path: Path, content: Any) -> None:
    """Write a file whole or not at all."""
    with whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, allow_nan=False)


MOST_BYTES = 64 << 20
"""Size of a JSON file up to which it is read."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it holds something else.
    """
    try:
        content = json.loads(read_bounded(path, MOST_BYTES).decode("utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object")
    return content
