"""Machine code is kept for the sources that it was made from, and only where that is possible."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

compiled = pytest.importorskip("otbench.ot.dynamic.compiled")
FOLDER = Path(compiled.__file__).parent


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path / "home"))
    compiled._cache_folder.cache_clear()
    yield
    compiled._cache_folder.cache_clear()


def doubled(x: float) -> float:
    return 2 * x


def test_the_folder_depends_on_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copies = tmp_path / "copies"
    copies.mkdir()
    for name in compiled.SOURCES:
        (copies / name).write_text((FOLDER / name).read_text())
    monkeypatch.setattr(compiled, "__file__", str(copies / "compiled.py"))
    seen = {compiled._cache_folder()}
    for name in compiled.SOURCES:
        compiled._cache_folder.cache_clear()
        (copies / name).write_text((FOLDER / name).read_text() + "# changed\n")
        seen.add(compiled._cache_folder())
    assert len(seen) == 1 + len(compiled.SOURCES)


def test_the_kernel_imports_nothing_of_the_suite_that_the_folder_leaves_out():
    tree = ast.parse((FOLDER / "kernel.py").read_text())
    imported = {
        node.module.rpartition(".")[2] + ".py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("otbench")
    }
    assert imported | {"kernel.py"} <= set(compiled.SOURCES)


def test_machine_code_is_kept_below_the_home_of_the_suite(tmp_path: Path):
    assert compiled.compiled(doubled)(3.0) == 6
    assert list((tmp_path / "home" / "numba").rglob("*.nbc"))


def test_where_nothing_can_be_written_it_is_compiled_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path / "file" / "home"))
    function = compiled.compiled(doubled)
    assert function(3.0) == 6
    assert not function.stats.cache_path
    assert not list(Path(__file__).parent.rglob("*.doubled*.nb?"))
