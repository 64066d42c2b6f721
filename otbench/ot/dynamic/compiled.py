"""Numba's compiler for the kernel, with a cache keyed by all the sources it depends on.

Numba keeps the machine code of a function beside its source and compiles it anew when that file
changes, but not when a module changes that the file imports.
"""

# mypy: ignore-errors

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numba
from numba.core import config

from otbench.home import home

SOURCES = ("compiled.py", "elimination.py", "kernel.py", "lanes.py")
"""Files of this folder that the compiled code depends on."""


@cache
def _cache_folder() -> str | None:
    """Return the cache folder of these sources, or None if it cannot be created."""
    digest = hashlib.sha256(numba.__version__.encode())
    for name in SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes() + b"\0")
    folder = home() / "numba" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    return str(folder)


def compiled(function: Callable) -> Callable:
    """Compile a function on its first call, or load its machine code from the cache.

    If the cache cannot be written, every process compiles for itself.
    """
    folder = _cache_folder()
    compiler = numba.njit(
        nogil=True, boundscheck=False, error_model="numpy", cache=folder is not None
    )
    before = config.CACHE_DIR
    config.CACHE_DIR = folder or before
    try:
        return compiler(function)
    finally:
        config.CACHE_DIR = before
