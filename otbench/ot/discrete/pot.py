"""The one place where POT is imported."""

from __future__ import annotations

import os
from types import ModuleType


def import_pot() -> ModuleType:
    """Import POT without the array libraries that it would load by itself (JAX, torch, ...)."""
    for library in ("JAX", "TENSORFLOW", "CUPY", "PYTORCH"):
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{library}", "1")
    import ot

    return ot
