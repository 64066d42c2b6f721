"""Lazy discovery of methods, datasets, tasks, metrics and executors by entry point.

A plugin is imported only when it is loaded, so that listing names is fast and a broken plugin does
not affect others. The plugins of otbench itself use the same entry points as those of third
parties.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from otbench.errors import UsageError, unknown_name
from otbench.plugins.defaults import kept_defaults

KINDS = ("methods", "datasets", "tasks", "metrics", "executors")
OWN_DISTRIBUTION = "otbench-suite"


@dataclass(frozen=True)
class Plugin:
    """The origin of a named plugin.

    Attributes
    ----------
    kind, name : str
        For example, ``methods`` and ``path-energy``.
    value : str
        ``package.module:Class``, or ``Class`` for a class in a file.
    distribution, version : str
        The package that registered it; ``file`` and an empty string for a single file.
    file : str or None
        Path of a file given with ``--plugin``.
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    file: str | None = None

    @property
    def module(self) -> str:
        """Name of the module that defines it."""
        return load_file_module(self.file).__name__ if self.file else self.value.split(":")[0]

    def load(self) -> Any:
        """Import the class.

        Raises
        ------
        Exception
            Any exception that its module raises on import.
        """
        with kept_defaults():
            if self.file:
                return getattr(load_file_module(self.file), self.value)
            module, _, attribute = self.value.partition(":")
            return getattr(importlib.import_module(module), attribute)


class Registry:
    """All plugins of one kind.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    extra : iterable of Plugin
        Plugins from files; they cannot replace a registered name.

    Attributes
    ----------
    problems : list of str
        A message for each name that was registered twice; it says which plugin is used.
    """

    def __init__(self, kind: str, extra: Iterable[Plugin] = ()) -> None:
        self.kind = kind
        self.problems: list[str] = []
        self._plugins: dict[str, Plugin] = {}
        found = [_from_entry_point(kind, point) for point in entry_points(group=f"otbench.{kind}")]
        found.sort(key=lambda p: (p.distribution != OWN_DISTRIBUTION, p.distribution))
        for plugin in [*found, *(p for p in extra if p.kind == kind)]:
            self._add(plugin)

    def _add(self, plugin: Plugin) -> None:
        known = self._plugins.setdefault(plugin.name, plugin)
        if known is plugin or known.value == plugin.value:
            return
        self.problems.append(
            f"{self.kind[:-1]} '{plugin.name}' of {_origin(plugin)} is ignored: "
            f"{_origin(known)} has registered that name"
        )

    def names(self) -> list[str]:
        """Return all names in the order of registration, those of otbench itself first."""
        return list(self._plugins)

    def get(self, name: str) -> Plugin:
        """Return the plugin with a given name.

        Raises
        ------
        UsageError
            If the name is unknown; the message suggests similar names.
        """
        if name not in self._plugins:
            raise UsageError(unknown_name(self.kind[:-1], name, self._plugins))
        return self._plugins[name]


def _origin(plugin: Plugin) -> str:
    return plugin.file or f"{plugin.distribution} {plugin.version}"


def _from_entry_point(kind: str, point: EntryPoint) -> Plugin:
    distribution = point.dist
    text = distribution.read_text("METADATA") if distribution else None
    name, version = _name_and_version(text) if text else ("unknown", "")
    return Plugin(kind, point.name, point.value, name, version)


@cache
def _name_and_version(metadata: str) -> tuple[str, str]:
    """Parse a distribution's metadata, only once for all of its entry points."""
    headers = HeaderParser().parsestr(metadata, headersonly=True)
    return headers["Name"], headers["Version"]


def load_file_module(path: str) -> ModuleType:
    """Import a Python file that belongs to no package, only once."""
    resolved = Path(path).resolve()
    name = f"otbench_plugin_{resolved.stem}"
    module = sys.modules.get(name)
    if module is not None and module.__file__ == str(resolved):
        return module
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # The folder goes last, so that helper modules beside the file shadow no other module.
    if str(resolved.parent) not in sys.path:
        sys.path.append(str(resolved.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
