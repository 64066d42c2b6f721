"""Compilation of the solvers' loops takes far longer than running them on a test's few points."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def _quickly(compile_quickly: None) -> None:
    """Compile every module's loops quickly."""
