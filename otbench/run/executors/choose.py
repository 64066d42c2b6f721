"""From what the command line says to an executor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otbench.errors import UsageError, unknown_name
from otbench.interface.parameters import declared
from otbench.plugins.parameters import instantiate
from otbench.plugins.registry import Registry
from otbench.plugins.selection import FIRST, Spec, parse
from otbench.run.executors.base import Executor


def make_executor(text: str, config: Path | None = None, **flags: Any) -> Executor:
    """Make the executor that a text such as ``slurm[partition=gpu]`` names.

    Parameters
    ----------
    text : str
        Its name, and possibly parameters in brackets.
    config : Path, optional
        YAML with more of its parameters; those in the text win.
    **flags
        Parameters that have flags of their own, which win over both; None where not given.

    Raises
    ------
    UsageError
        If the executor or a parameter is unknown, or a value is not allowed; near names are
        suggested.
    """
    specs = parse([text])
    if len(specs) != 1:
        raise UsageError(f"--executor {text}: name one executor, such as local or slurm")
    (spec,) = specs
    plugin = Registry("executors").get(spec.name)
    cls = plugin.load()
    if not (isinstance(cls, type) and issubclass(cls, Executor)):
        raise UsageError(
            f"executor {spec.name}: {plugin.value} is not a subclass of "
            "otbench.run.executors.base.Executor"
        )
    given = _read(config, spec.name, cls) if config else {}
    named = {key or next(iter(declared(cls)), FIRST): value for key, value in spec.parameters}
    given |= named
    for name, value in flags.items():
        if value is None:
            continue
        if name not in declared(cls):
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag}: executor {spec.name} has no such parameter")
        given[name] = value
    made: Executor = instantiate(cls, Spec(spec.name, tuple(given.items())))
    return made


def _read(config: Path, executor: str, cls: type) -> dict[str, Any]:
    """Return the parameters that a YAML file holds."""
    import yaml

    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--executor-config {config}: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"--executor-config {config}: it must hold keys and values")
    found = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in declared(cls):
            known = unknown_name(f"parameter of {executor}", str(key), declared(cls))
            raise UsageError(f"--executor-config {config}: {known}")
        found[name] = tuple(value) if isinstance(value, list) else value
    return found
