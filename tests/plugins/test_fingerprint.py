"""The digest of a method's code follows its imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from otbench.plugins.fingerprint import code_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fingerprinted"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "method.py").write_text("from .helper import f\n")
    (folder / "helper.py").write_text("import fingerprinted.deep\n")
    (folder / "deep.py").write_text("x = 1\n")
    (folder / "stranger.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_change_in_a_helper_of_a_helper_changes_the_digest(package: Path) -> None:
    before = code_digest("fingerprinted.method")
    (package / "deep.py").write_text("x = 2\n")
    assert code_digest("fingerprinted.method") != before


def test_a_change_elsewhere_in_the_package_does_not(package: Path) -> None:
    before = code_digest("fingerprinted.method")
    (package / "stranger.py").write_text("y = 2\n")
    assert code_digest("fingerprinted.method") == before


def test_a_single_file_has_a_digest(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("a = 1\n")
    before = code_digest("otbench_plugin_mine", str(file))
    file.write_text("a = 2\n")
    assert code_digest("otbench_plugin_mine", str(file)) != before


def test_shared_numerics_count() -> None:
    from otbench.plugins import fingerprint

    imported = fingerprint._relevant("otbench.nn.backbone", "otbench_methods")
    assert imported
    assert not fingerprint._relevant("otbench.run.runner", "otbench_methods")
