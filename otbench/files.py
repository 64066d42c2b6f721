"""Atomic writing of files, and reading up to a size."""

from __future__ import annotations

import errno
import os
import stat
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


def read_bounded(path: Path, most: int) -> bytes:
    """Read a regular file that is not larger than it can be.

    Parameters
    ----------
    path : Path
    most : int
        Bytes.

    Raises
    ------
    OSError
        If it cannot be read, is larger, or is a folder, a pipe or a device, which might never end.
    """
    # Opening a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        known = os.fstat(file.fileno())
        if not stat.S_ISREG(known.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        content = file.read(most + 1) if known.st_size <= most else b""
        if max(known.st_size, len(content)) > most:
            raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content
