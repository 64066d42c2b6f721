"""Atomic writing of files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces ``path`` at the end.

    If an error occurs, ``path`` is unchanged and the temporary file is removed. The permissions of
    the file follow the umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Libraries choose the format by the suffix.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
