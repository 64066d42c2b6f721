"""Numba's compiler for the kernel, with a cache that knows all the sources it depends on.

Numba keeps the machine code of a function beside its source and compiles it anew when that file
changes, but not when a module changes that the file imports.
"""

# mypy: ignore-errors

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numba
from numba.core import config

from otbench.home import home

SOURCES = ("compiled.py", "elimination.py", "kernel.py", "lanes.py")
"""Files of this folder that decide what is compiled."""


@cache
def _cache_folder() -> str:
    """Return a folder for the machine code of these very sources."""
    digest = hashlib.sha256(numba.__version__.encode())
    for name in SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes() + b"\0")
    return str(home() / "numba" / digest.hexdigest()[:16])


def compiled(function: Callable) -> Callable:
    """Compile a function on its first call, or take its machine code from the cache.

    Where nothing can be written, every process compiles for itself.
    """
    options = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    before = config.CACHE_DIR
    config.CACHE_DIR = _cache_folder()
    try:
        return numba.njit(cache=True, **options)(function)
    except (OSError, RuntimeError):
        return numba.njit(**options)(function)
    finally:
        config.CACHE_DIR = before
