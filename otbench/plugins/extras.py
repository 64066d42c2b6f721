"""Optional dependencies."""

from __future__ import annotations

import importlib.util


def missing_from(extra: str, *modules: str) -> str | None:
    """Return which modules of an extra are not installed and the command that installs them.

    None where all are there. Nothing is imported.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} not installed: pip install 'otbench-suite[{extra}]'"
