"""otbench: a comparative benchmark suite for optimal-transport autoencoders and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otbench._version import __version__

if TYPE_CHECKING:
    from otbench.results.tables import load_results

__all__ = ["__version__", "load_results"]


def __getattr__(name: str) -> Any:
    """Import `load_results`, and pandas with it, on first access."""
    if name == "load_results":
        from otbench.results.tables import load_results

        return load_results
    raise AttributeError(f"module 'otbench' has no attribute {name!r}")
