"""Optional dependencies, and what to say where one is not installed."""

from __future__ import annotations

import importlib.util

EXTRAS = {
    "train": ("torch", "safetensors", "sklearn", "ot", "numba"),
    "maps": ("jax", "optax", "ott"),
    "neural": ("flax", "diffrax"),
    "avatars": ("dicebear", "dicebear_styles", "resvg_py"),
    "tune": ("optuna",),
}
"""The modules that each extra of the distribution installs; the base needs none of them."""


def missing_from(extra: str) -> str | None:
    """Return which modules of an extra are not installed and the command that installs them.

    None where all are there. Nothing is imported.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    return _advice(missing, extra) if missing else None


def install_hint(error: BaseException) -> str | None:
    """Return the command that installs the module whose import failed, if an extra holds it."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    module = error.name.partition(".")[0]
    found = [extra for extra, modules in EXTRAS.items() if module in modules]
    return _advice([module], found[0]) if found else None


def _advice(modules: list[str], extra: str) -> str:
    return f"{', '.join(modules)} not installed: pip install 'otbench-suite[{extra}]'"
