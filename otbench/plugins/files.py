"""Methods and datasets from a single file, given with ``--plugin``.

The file is imported in a process of its own, ``python -m otbench.plugins.files FILE``, so that what
it does on import cannot reach the command.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from otbench.errors import UsageError
from otbench.interface.parameters import kebab
from otbench.plugins.child import environment, python
from otbench.plugins.registry import Plugin, load_file_module

IMPORT_SECONDS = 120


def find_plugins(path: str) -> list[Plugin]:
    """List the methods and datasets that a file defines.

    A class is registered under its class attribute ``name``, or under its own name in kebab-case.
    A file that cannot be imported yields one method of the file's name, so that the failure has
    its row.

    Raises
    ------
    UsageError
        If the file does not exist, or defines neither a method nor a dataset.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise UsageError(f"--plugin {path}: there is no such file")
    command = python("otbench.plugins.files", str(file))
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        answer = None
    if answer is None or answer.returncode != 0:
        return [Plugin("methods", kebab(file.stem), file.stem, "file", "", str(file))]
    found = [Plugin(**content) for content in json.loads(answer.stdout.splitlines()[-1])]
    if not found:
        raise UsageError(
            f"--plugin {path} defines no method and no dataset; "
            "a method is a subclass of otbench.interface.Interpolator or Autoencoder"
        )
    return found


def _main(file: str) -> int:
    from otbench.interface.data import Dataset
    from otbench.interface.method import Method

    module = load_file_module(file)
    found = []
    for kind, base in (("methods", Method), ("datasets", Dataset)):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            own = cls.__module__ == module.__name__ and issubclass(cls, base)
            if own and not inspect.isabstract(cls):
                label = getattr(cls, "name", None) or kebab(name)
                found.append(asdict(Plugin(kind, label, name, "file", "", file)))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
