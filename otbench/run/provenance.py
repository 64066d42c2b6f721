"""Provenance of results: versions, commit and machine."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from otbench._version import __version__
from otbench.plugins.child import environment

PACKAGES = (
    "torch",
    "jax",
    "optax",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "POT",
    "numba",
    "ott-jax",
)


COMPUTING = ("torch", "numpy", "scipy", "scikit-learn", "jax", "optax", "ott-jax", "POT", "numba")
"""Distributions whose version affects results."""


@functools.cache
def libraries() -> dict[str, str]:
    """Return the versions of the installed numerical libraries, by name."""
    found = {name: _version(name) for name in COMPUTING}
    return {name: known for name, known in found.items() if known is not None}


@functools.cache
def provenance() -> dict[str, Any]:
    """Return the versions of otbench and of the numerical libraries, and the commit.

    ``commit`` and ``dirty`` are None if otbench does not run from a git checkout.
    """
    return {
        "otbench_version": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        **_commit(),
    }


def machine() -> dict[str, Any]:
    """Return the hardware and operating system of this process."""
    import psutil

    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": sys.executable,
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    folder = Path(__file__).resolve().parents[2]
    commit = _git(folder, "rev-parse", "HEAD") if (folder / ".git").exists() else None
    # Runs write their tables to results/, which is not part of the code.
    changes = _git(folder, "status", "--porcelain", "-uno", "--", ".", ":!results")
    dirty = bool(changes) if commit else None
    return {"commit": commit, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            env=environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
