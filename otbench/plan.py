"""What passes between the command and the checks before a run, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

IMPORTING = ".importing"
"""Suffix of the file that names the method being imported, in case that ends the process."""


@dataclass
class Request:
    """What the command line asks for, as plain values.

    Attributes
    ----------
    methods, datasets, metrics : list of str
        Selections as text; ``all`` stands for every registered method.
    preset : str
    seeds : list of int
    steps : int or None
        In place of the preset's.
    seconds : float or None
        Cap on each training.
    device : str
        ``cpu``, ``cuda`` or ``auto``.
    files : list of dict
        Plugins from single files, as dicts of `Plugin`.
    avoid : dict of str to str
        Methods whose import is known to end the process, with the reason.
    """

    methods: list[str]
    datasets: list[str]
    metrics: list[str]
    preset: str
    seeds: list[int]
    steps: int | None = None
    seconds: float | None = None
    device: str = "auto"
    files: list[dict[str, Any]] = field(default_factory=list)
    avoid: dict[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """What to run.

    Attributes
    ----------
    cells : list of dict
        Each with ``cell`` and ``cost``.
    metrics : dict of str to dict of str to list of str
        For each dataset label and task, the metrics as text.
    unavailable : dict of str to str
        Metrics that cannot be scored now, with the reason.
    rejected : list of dict
        Methods that cannot run at all: ``method``, ``dataset``, ``status``, ``reason``.
    warnings : list of str
    device : str
    gpus : int
    error : dict or None
        ``message`` and ``exit_code`` of an error that stops the whole run.
    """

    cells: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    rejected: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    device: str = "cpu"
    gpus: int = 0
    error: dict[str, Any] | None = None
