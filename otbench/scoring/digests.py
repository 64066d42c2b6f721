"""The identity of scores: digests of everything except the model that determines a score."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache

from otbench.errors import UsageError
from otbench.plugins.fingerprint import SHARED, code_digest
from otbench.plugins.registry import Registry
from otbench.presets import Sizes
from otbench.results.cell import canonical

SCORING = (
    *SHARED,
    "otbench.interface",
    "otbench.metrics",
    "otbench.tasks",
    "otbench.scoring.score",
)
"""Modules and packages of the suite whose code can change a score."""


def score_digests(metrics: Mapping[str, Sequence[str]], sizes: Sizes) -> dict[str, str]:
    """Return for each ``task/text`` the sha256 of the code of task and metric, and the sizes.

    Parameters
    ----------
    metrics : mapping
        Metrics as text, for each task.
    sizes : Sizes
    """
    common, code = canonical(asdict(sizes)), cache(_code)
    of_tasks, of_metrics = Registry("tasks"), Registry("metrics")

    def digest(task: str, text: str) -> str:
        parts = (common, text, code(of_tasks, task), code(of_metrics, text.partition("[")[0]))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    return {
        f"{task}/{text}": digest(task, text) for task, texts in metrics.items() for text in texts
    }


def _code(registry: Registry, name: str) -> str:
    """Return the digest of the module that defines a task or metric."""
    try:
        plugin = registry.get(name)
    except UsageError:
        return "unknown"
    return code_digest(plugin.module, plugin.file, SCORING)
