"""Methods and datasets from a single file, given with ``--plugin``.

The file is imported in a process of its own, ``python -m otbench.plugins.files FILE ANSWER``, so
that what it does on import cannot reach the command. What it prints is read by nobody.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from otbench.errors import UsageError, describe
from otbench.files import whole
from otbench.interface.parameters import kebab
from otbench.plugins.child import die_with_parent, environment, how_it_ended, python, started
from otbench.plugins.registry import Plugin, load_file_module

IMPORT_SECONDS = 120.0


@dataclass(frozen=True)
class Found:
    """What a file holds.

    Attributes
    ----------
    plugins : list of Plugin
        Where the file cannot be imported, one method of the file's name, so that the failure has
        its row.
    problem : str or None
        Why it cannot be.
    """

    plugins: list[Plugin]
    problem: str | None = None


def find_plugins(path: str, seconds: float | None = None) -> Found:
    """List the methods and datasets that a file defines.

    A class is registered under its class attribute ``name``, or under its own name in kebab-case.

    Parameters
    ----------
    path : str
    seconds : float, optional
        What the import may take, in place of `IMPORT_SECONDS`.

    Raises
    ------
    UsageError
        If the file does not exist, or defines neither a method nor a dataset.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise UsageError(f"--plugin {path}: there is no such file")
    limit = seconds or IMPORT_SECONDS
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "plugins.json"
        command = python("otbench.plugins.files", str(file), str(answer))
        with started(command, env=environment(), stderr=subprocess.DEVNULL) as process:
            try:
                how = how_it_ended(process.wait(limit))
            except subprocess.TimeoutExpired:
                how = f"did not end within {limit:g} s"
        content: dict[str, Any] = {"problem": f"importing it {how}"}
        if answer.exists():
            content = json.loads(answer.read_text(encoding="utf-8"))
    if problem := content.get("problem"):
        return Found(
            [Plugin("methods", kebab(file.stem), file.stem, "file", "", str(file))], problem
        )
    if not content["plugins"]:
        raise UsageError(
            f"--plugin {path} defines no method and no dataset; "
            "a method is a subclass of otbench.interface.Interpolator or Autoencoder"
        )
    return Found([Plugin(**plugin) for plugin in content["plugins"]])


def _look_into(file: str) -> list[Plugin]:
    from otbench.interface.data import Dataset
    from otbench.interface.method import Method

    module = load_file_module(file)
    found = []
    for kind, base in (("methods", Method), ("datasets", Dataset)):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            own = cls.__module__ == module.__name__ and issubclass(cls, base)
            if own and not inspect.isabstract(cls):
                own_name = getattr(cls, "name", None)
                label = own_name if own_name and isinstance(own_name, str) else kebab(name)
                found.append(Plugin(kind, label, name, "file", "", file))
    return found


def _main(file: str, answer: str) -> int:
    die_with_parent()
    content: dict[str, Any]
    try:
        content = {"plugins": [asdict(plugin) for plugin in _look_into(file)]}
        text = json.dumps(content)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
        text = json.dumps({"problem": describe(error)})
    with whole(Path(answer)) as path:
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
