"""Digests and seeds of data sets that are sampled or defined by formulas."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from otbench.interface import parameter


def definition_digest(name: str, version: int, **definition: Any) -> str:
    """Return the sha256 of the definition of two distributions.

    Parameters
    ----------
    name : str
    version : int
        Version of the sampling code, raised whenever the samples change. The samples themselves are
        not hashed, because their last bits depend on the machine.
    **definition
        Plain values that define the distributions.
    """
    content = json.dumps({"name": name, "version": version, **definition}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def drawing_seed(doc: str) -> int:
    """Declare a seed in the range that all random generators accept."""
    seed: int = parameter(0, doc, low=0, high=2**31 - 1)
    return seed
