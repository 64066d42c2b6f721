"""Digest of a method's code, so that a changed method is trained anew.

The digest covers the module that defines the method and, transitively, what that imports from its
own top-level package and from ``otbench.nn`` and ``otbench.ot``. Imports are read from the source:
nothing is executed but the ``__init__`` of packages.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

SHARED = ("otbench.nn", "otbench.ot")


def code_digest(module: str, file: str | None = None) -> str:
    """Return the sha256 over a module's source and its relevant imports, in a fixed order.

    Parameters
    ----------
    module : str
        Dotted name.
    file : str, optional
        The source, for a module that belongs to no package.
    """
    package = module.split(".")[0]
    sources: dict[str, bytes] = {}
    waiting = [(module, Path(file) if file else _source(module))]
    while waiting:
        name, path = waiting.pop()
        if path is None or name in sources:
            continue
        sources[name] = path.read_bytes()
        for imported in _imports(sources[name], name, is_package=path.name == "__init__.py"):
            if _relevant(imported, package):
                waiting.append((imported, _source(imported)))
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name] + b"\0")
    return digest.hexdigest()


def _relevant(module: str, package: str) -> bool:
    return module.split(".")[0] == package != "otbench" or module.startswith(SHARED)


def _source(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _imports(source: bytes, module: str, is_package: bool) -> Iterator[str]:
    parts = module.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - 1 if is_package else node.level
                base = ".".join([*parts[: len(parts) - up], *([base] if base else [])])
            yield base
            source_file = _source(base) if base else None
            if source_file is not None and source_file.name == "__init__.py":
                yield from (f"{base}.{alias.name}" for alias in node.names)
