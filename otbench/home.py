"""The cache folder of the suite."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """Return the cache folder: ``OTBENCH_HOME``, or ``otbench`` in the user's cache folder."""
    own = os.environ.get("OTBENCH_HOME")
    if own:
        return Path(own).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("otbench"))
