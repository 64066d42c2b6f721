"""Digests and seeds of data sets that are drawn or defined by formulas."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from otbench.interface import parameter


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


def drawing_seed(doc: str) -> int:
    """Declare a seed that every generator in use takes."""
    seed: int = parameter(0, doc, low=0, high=2**31 - 1)
    return seed
