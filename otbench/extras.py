"""Optional dependencies, and messages about those that are not installed."""

from __future__ import annotations

import importlib.util

EXTRAS = {
    "train": ("torch", "safetensors", "sklearn", "ot", "numba"),
    "maps": ("jax", "optax", "ott"),
    "neural": ("flax", "diffrax"),
    "avatars": ("dicebear", "dicebear_styles", "resvg_py"),
    "slurm": ("submitit",),
    "dask": ("dask", "distributed"),
    "tune": ("optuna",),
}
"""The modules that each extra of the distribution installs; the base requires none of them."""


def missing_from(extra: str) -> str | None:
    """Return a message with the missing modules of an extra and the command that installs them.

    The result is None if all are installed. No module is imported.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    return _advice(missing, extra) if missing else None


def install_hint(error: BaseException) -> str | None:
    """Return the command that installs the module whose import failed, if it is in an extra."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    module = error.name.partition(".")[0]
    found = [extra for extra, modules in EXTRAS.items() if module in modules]
    return _advice([module], found[0]) if found else None


def _advice(modules: list[str], extra: str) -> str:
    return f"{', '.join(modules)} not installed: pip install 'otbench-suite[{extra}]'"
