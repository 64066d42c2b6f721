"""Reading YAML files with settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otbench.errors import UsageError
from otbench.files import read_bounded

MOST_BYTES = 1 << 16

PLAIN = (str, bool, int, float, type(None))


def read_config(flag: str, path: Path) -> dict[str, Any]:
    """Read a YAML file of keys with plain values or lists of plain values.

    Parameters
    ----------
    flag : str
        The flag that named the file, for messages.
    path : Path

    Raises
    ------
    UsageError
        If the file cannot be read, or contains anything else.
    """
    import yaml

    try:
        content = yaml.safe_load(read_bounded(path, MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from error
    except RecursionError as error:
        raise UsageError(f"{flag} {path}: nested too deeply") from error
    # Invalid dates, for instance, raise ValueError.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{flag} {path}: {str(error) or type(error).__name__}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{flag} {path}: it must hold keys and values")
    for key, value in content.items():
        items = value if isinstance(value, list) else [value]
        # Nested references could expand to any size.
        if not isinstance(key, str) or not all(isinstance(item, PLAIN) for item in items):
            raise UsageError(
                f"{flag} {path}: {str(key)[:80]!r} must hold a number, a text, true or false, or a "
                "list of these"
            )
    return content
