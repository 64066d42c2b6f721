"""The digest of a method's code follows its imports and ignores prose."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otbench.plugins import fingerprint
from otbench.plugins.fingerprint import code_digest, code_of, sources


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fingerprint._installed_source.cache_clear()


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


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plugin file with a helper and a package of helpers beside it."""
    (tmp_path / "helper.py").write_text("from tools.deep import L\nK = 0.1\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("")
    (tmp_path / "tools" / "deep.py").write_text("L = 1\n")
    file = tmp_path / "mine.py"
    file.write_text("import json\nfrom helper import K\na = 1\n")
    return file


def changed(path: Path, text: str, digest: Callable[[], str]) -> bool:
    before = digest()
    path.write_text(text)
    return digest() != before


def test_a_change_in_a_helper_of_a_helper_changes_the_digest(package: Path) -> None:
    assert changed(package / "deep.py", "x = 2\n", lambda: code_digest("fingerprinted.method"))


def test_a_change_elsewhere_in_the_package_does_not(package: Path) -> None:
    digest = lambda: code_digest("fingerprinted.method")  # noqa: E731
    assert not changed(package / "stranger.py", "y = 2\n", digest)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.py", "import json\nfrom helper import K\na = 2\n"),
        ("helper.py", "from tools.deep import L\nK = 0.5\n"),
        ("tools/deep.py", "L = 2\n"),
    ],
)
def test_helpers_beside_a_plugin_file_count(plugin: Path, name: str, text: str) -> None:
    digest = lambda: code_digest("otbench_plugin_mine", str(plugin))  # noqa: E731
    assert changed(plugin.parent / name, text, digest)


def test_a_module_of_python_wins_over_a_file_of_its_name_beside_the_plugin(plugin: Path) -> None:
    (plugin.parent / "json.py").write_text("x = 1\n")
    assert "json" not in sources("otbench_plugin_mine", str(plugin))


def test_installed_libraries_do_not_count(plugin: Path) -> None:
    plugin.write_text("import numpy, torch, yaml\n")
    assert set(sources("otbench_plugin_mine", str(plugin))) == {"otbench_plugin_mine"}


IMPORTS_NOTHING = """
import sys
from otbench.plugins.fingerprint import code_digest
code_digest("otbench.metrics.clustering", shared=("otbench.interface", "otbench.metrics"))
code_digest("otbench_methods.neural_maps.w2_amortized")
print(sorted({"torch", "jax", "sklearn", "scipy", "ot", "ott"} & sys.modules.keys()))
"""


def test_a_digest_imports_no_library() -> None:
    command = [sys.executable, "-c", IMPORTS_NOTHING]
    assert subprocess.check_output(command, text=True).strip() == "[]"


def test_shared_code_of_the_suite_counts_and_the_rest_does_not() -> None:
    names = set(sources("otbench_methods.autoencoders.path_energy"))
    assert {"otbench.nn.backbone", "otbench.interface.training"} <= names
    assert "otbench.ot.dynamic.kernel" in names
    assert not any(name.startswith(("otbench.run", "otbench.interface.metric")) for name in names)


CODE = '''
"""Title."""
from otbench.interface import MethodCard, parameter
class Mine:
    """A method."""
    card = MethodCard("mine", "nobody")
    alpha: float = parameter(1.0, "weight", "chosen here", low=0)
    def fit(self):
        """Learn."""
        return 1  # one
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Title."""', '"""Another title, over\ntwo lines."""'),
        ('"""Learn."""', ""),
        ("# one", "# the answer"),
        ('MethodCard("mine", "nobody")', 'MethodCard("mine", "somebody")'),
        ('"weight", "chosen here", low=0', '"the weight", "a sweep", low=0, high=9'),
        ("return 1", "return (1)"),
    ],
)
def test_prose_does_not_count(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "code.py"
    file.write_text(CODE)
    before = code_of(file)
    assert old in CODE
    file.write_text(CODE.replace(old, new))
    assert code_of(file) == before


@pytest.mark.parametrize(
    ("old", "new"), [("return 1", "return 2"), ("parameter(1.0", "parameter(2.0")]
)
def test_code_counts(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "code.py"
    file.write_text(CODE)
    before = code_of(file)
    file.write_text(CODE.replace(old, new))
    assert code_of(file) != before
