"""Children of the suite, and imports of strangers' code, bend nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from otbench.plugins.child import environment, python
from otbench.plugins.registry import Plugin
from otbench.run.provenance import _commit


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("GIT_DIR", "/elsewhere/.git", None),
        ("JAX_ENABLE_X64", "1", None),
        ("JAX_NUMPY_DTYPE_PROMOTION", "strict", None),
        ("JAX_PLATFORMS", "cpu", "cpu"),
        ("OMP_NUM_THREADS", "3", "3"),
        ("ATEN_CPU_CAPABILITY", "default", "default"),
        ("PYTHONPATH", "relative:/absolute:.", "/absolute"),
        ("PYTHONPATH", ".", None),
    ],
)
def test_what_passes_to_a_child(
    name: str, value: str, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert environment().get(name) == kept
    assert environment(MORE="x")["MORE"] == "x"


def test_modules_in_the_working_directory_are_not_executed(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('executed')\n")
    command = python("otbench.cli.main", "ls", "presets", "--json")
    ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)) == 4


def test_the_commit_is_the_suite_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = _commit()["commit"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=environment())
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert _commit()["commit"] == known


BENDING = """
import numpy as np
import torch
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)
np.seterr(all="raise")
class Bent:
    pass
"""


def test_a_plugin_changes_no_default(tmp_path: Path) -> None:
    file = tmp_path / "bending.py"
    file.write_text(BENDING)
    Plugin("methods", "bent", "Bent", "file", "", str(file)).load()
    x = torch.zeros(2, requires_grad=True)
    assert (x.dtype, x.device.type) == (torch.float32, "cpu")
    assert (x + 1).requires_grad
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.geterr()["under"] == "ignore"
