"""Digests of data sets that are defined by formulas, and checks of their parameters."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from otbench.errors import UsageError


def definition_digest(name: str, version: int, **definition: Any) -> str:
    """Return the sha256 of what defines two distributions.

    Parameters
    ----------
    name : str
    version : int
        Of the code that draws them: raised when it draws something else. Points themselves are no
        good for a digest, their last bits depend on the machine.
    **definition
        Plain values.
    """
    content = json.dumps({"name": name, "version": version, **definition}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def check_range(name: str, parameter: str, value: int, low: int, high: int) -> None:
    """Raise a UsageError unless low <= value <= high."""
    if not low <= value <= high:
        raise UsageError(f"{name}: {parameter} must be from {low} to {high}, got {value}")


def check_seed(name: str, seed: int) -> None:
    """Raise a UsageError unless every generator in use takes the seed."""
    check_range(name, "seed", seed, 0, 2**31 - 1)
