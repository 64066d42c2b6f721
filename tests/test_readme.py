"""What README shows is true."""

from __future__ import annotations

import re
from pathlib import Path

from otbench.conformance import check_method
from otbench.plugins.registry import Plugin
from otbench.plugins.selection import Spec

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_method_conforms(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    file = tmp_path / "pca.py"
    file.write_text(code)
    plugin = Plugin("methods", "pca", "PCA", "file", "", str(file))
    assert [r for r in check_method(plugin, Spec("pca")) if r.problem] == []


def test_every_method_and_preset_it_names_exists() -> None:
    from otbench.plugins.registry import Registry
    from otbench.presets import PRESETS

    table = re.findall(r"^\| `([\w-]+)` \|", README, flags=re.MULTILINE)
    assert sorted(table) == sorted(Registry("methods").names())
    named = re.search(r"Presets: (.*?)\n\n", README, flags=re.DOTALL)
    assert named is not None
    assert set(re.findall(r"`(\w+)`", named[1])) == set(PRESETS)
