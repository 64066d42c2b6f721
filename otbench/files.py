"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give the place of a temporary file, which takes the place of ``path`` at the end.

    Whatever goes wrong before leaves ``path`` as it was, and nothing beside it. The file's
    permissions follow the umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix decides how libraries write.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
