"""What the base installs is enough to look at methods and results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otbench.extras import EXTRAS
from tests.results.small import write_results

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which no module of an extra can be imported."""
    modules = {name for extra in EXTRAS.values() for name in extra}
    (tmp_path / "sitecustomize.py").write_text(BLOCKED.format(modules=modules))
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def otbench(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "otbench.cli.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments", ["ls methods", "ls metrics", "leaderboard {out}", "reproduce --list"]
)
def test_verbs_that_need_no_extra(arguments: str, bare: dict[str, str], tmp_path: Path) -> None:
    write_results(tmp_path / "results")
    ended = otbench(bare, *arguments.format(out=tmp_path / "results").split())
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


@pytest.mark.parametrize("arguments", ["run --methods ae --dataset digits", "show ae", "check ae"])
def test_verbs_that_need_one_say_which(arguments: str, bare: dict[str, str]) -> None:
    ended = otbench(bare, *arguments.split())
    assert ended.returncode in (2, 3)
    assert "pip install 'otbench-suite[train]'" in ended.stderr
    assert "Traceback" not in ended.stderr
