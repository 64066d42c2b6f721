"""Messages between the command and the preflight, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import Any

IMPORTING = ".importing"
"""Suffix of the file that names the method being imported, in case that ends the process."""


@dataclass
class Sweep:
    """All combinations of some methods, data sets and seeds.

    Attributes
    ----------
    methods, datasets : list of str
        Selections as text; ``all`` stands for every registered method.
    seeds : list of int
    steps : int or None
        Number of updates; None for that of the preset.
    metrics : dict of str to list of str, or None
        Metrics to score for each task, as text; None for those of the preset.
    """

    methods: list[str]
    datasets: list[str]
    seeds: list[int]
    steps: int | None = None
    metrics: dict[str, list[str]] | None = None


@dataclass
class Request:
    """The request of a command, as plain values.

    Attributes
    ----------
    sweeps : list of Sweep
    metrics : list of str
        Further metrics to score, as text, on all tasks to which they belong.
    preset : str
    seconds : float or None
        Limit on the time of each training.
    threads : int
        Number of CPU threads of each cell.
    device : str
        ``cpu``, ``cuda``, ``mps`` or ``auto``, which is ``cuda`` where there is one.
    here : bool
        Whether cells run on this machine, which must then have the device.
    files : list of dict
        Plugins from single files, as dicts of `Plugin`.
    avoid : dict of str to str
        Methods whose import is known to end the process, with the reason.
    """

    sweeps: list[Sweep]
    metrics: list[str]
    preset: str
    seconds: float | None = None
    threads: int = 1
    device: str = "auto"
    here: bool = True
    files: list[dict[str, Any]] = field(default_factory=list)
    avoid: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Request:
        """Make a request from the output of ``dataclasses.asdict``."""
        return cls(**content | {"sweeps": [Sweep(**sweep) for sweep in content["sweeps"]]})

    def selected(self, kind: str) -> list[str]:
        """Return all selections of ``methods``, ``datasets`` or ``metrics`` as text."""
        texts = list(self.metrics) if kind == "metrics" else []
        for sweep in self.sweeps:
            if kind == "metrics":
                texts += chain(*(sweep.metrics or {}).values())
            else:
                texts += getattr(sweep, kind)
        return texts


@dataclass
class Plan:
    """The plan of a run.

    Attributes
    ----------
    cells : list of dict
        Each with ``cell``, ``cost``, ``reference`` and the index of the ``sweep`` that requests
        it.
    metrics : dict of str to dict of str to list of str
        Metrics, as text, by label of the data set and task.
    digests : dict of str to str
        For each ``task/text``, the digest of everything except the model that determines the score.
    sizes : dict
        Fields of `presets.Sizes`.
    unavailable : dict of str to str
        Metrics that cannot be scored in this run, with the reason.
    rejected : list of dict
        Methods that cannot run: ``method``, ``dataset``, ``status``, ``reason``, ``sweep``.
    warnings : list of str
    device : str
        That cells compute on.
    tried_on : str
        The device of this machine that metrics were tried on.
    gpus : int
    error : dict or None
        ``message`` and ``exit_code`` of an error that stops the whole run.
    """

    cells: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    device: str = "cpu"
    tried_on: str = "cpu"
    gpus: int = 0
    error: dict[str, Any] | None = None
