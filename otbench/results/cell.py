"""Cells: one method with its parameters, one dataset, one budget and one seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from otbench.files import whole
from otbench.interface.parameters import with_tuples
from otbench.plugins.registry import Plugin

LONGEST_NAME, DIGITS = 80, 8
"""Largest number of characters of a label in a file name, and length of the digest that ends a
shortened one."""

LABELS = ("plugin", "dataset_plugin")
"""Fields of which only the name enters the digest; the location of a package does not."""


@dataclass(frozen=True)
class Cell:
    """The identity of a trained model: everything that determines what is learned.

    Scoring is not part of it: if metrics, tasks or sizes change, the same model is scored again.

    Attributes
    ----------
    method, dataset : str
        Labels: names with the parameters that differ from the defaults.
    parameters, dataset_parameters : dict
        All declared parameters with their values.
    plugin, dataset_plugin : Plugin
    variant, data_sha256 : str
        Variant and digest of the data in use.
    track, preset : str
    seed, steps, batch_size : int
    seconds : float or None
        Limit on the training time.
    code_sha256 : str
        Digest of the method's source and of its imports from its own package and the suite.
    device : str
        ``cpu``, ``cuda`` or ``mps``.
    threads : int
        Number of CPU threads; it changes the order of sums and thus the weights.
    libraries : dict of str to str
        Versions of the numerical libraries.
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

    @cached_property
    def key(self) -> str:
        """Digest of all fields."""
        return self._digest()

    @cached_property
    def group(self) -> str:
        """Digest of all fields but the seed; cells of one group may be averaged."""
        return self._digest(without="seed")

    def _digest(self, without: str = "") -> str:
        content = dataclasses.asdict(self)
        content.pop(without, None)
        for name in LABELS:
            content[name] = content[name]["name"]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:16]

    @property
    def folder_name(self) -> str:
        """A readable name that contains the key."""
        return f"{slug(self.method)}-s{self.seed}-{self.key}"

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Cell:
        """Make a cell from the output of ``dataclasses.asdict``."""
        content = dict(content)
        for name in LABELS:
            content[name] = Plugin(**content[name])
        for name in ("parameters", "dataset_parameters"):
            content[name] = with_tuples(content[name])
        return cls(**content)


def canonical(content: Any) -> str:
    """Serialise to JSON in canonical form, for digests."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def slug(text: str) -> str:
    """Convert a label to a file name.

    If the label is too long, or contains characters that names of methods and parameters cannot
    have, the result ends in a digest of the whole label, so that two labels never share a file.
    """
    name = re.sub(r"[^\w.=-]+", "_", text, flags=re.ASCII).strip("_")
    if len(name) <= LONGEST_NAME and re.fullmatch(r"[\w.=\-\[\],:]*", text, flags=re.ASCII):
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    return f"{name[: LONGEST_NAME - DIGITS - 1]}-{digest}"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    with whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return content
