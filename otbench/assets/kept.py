"""Cached results: computed by one process, kept in a file, read by all others."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from otbench.files import whole

log = logging.getLogger(__name__)

T = TypeVar("T")


def write_whole(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> bool:
    """Write a safetensors file completely or not at all; return whether that succeeded."""
    try:
        with whole(path) as temporary:
            save_file(dict(tensors), temporary, metadata)
    except OSError:
        return False
    return True


def read_or_made(
    path: Path,
    what: str,
    read: Callable[[Path], T],
    make: Callable[[], T],
    write: Callable[[Path, T], bool],
) -> T:
    """Read a result from its file, or compute it and write the file.

    One process computes the result while others that want the same one wait. If the folder cannot
    be written to, the result is kept in memory only, with a warning. An unusable file is replaced.

    Parameters
    ----------
    path : Path
    what : str
        Name of the result for the warning "... is not kept".
    read : callable
        Raises OSError where there is no file; SafetensorError, RuntimeError, KeyError or ValueError
        where it does not hold what it should.
    make : callable
    write : callable
        Returns whether the file could be written, as `write_whole` does.
    """
    if (found := _read(path, read)) is not None:
        return found
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):
        warnings.warn(f"{what} is not kept: no lock {lock.lock_file}", stacklevel=3)
        return make()
    try:
        found = _read(path, read)
        if found is None:
            found = make()
            if not write(path, found):
                warnings.warn(f"{what} is not kept: {path}", stacklevel=3)
        return found
    finally:
        lock.release()


def _read(path: Path, read: Callable[[Path], T]) -> T | None:
    try:
        return read(path)
    except OSError:
        return None
    except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
        log.warning("%s does not hold what it should: %s", path, error)
        return None
