"""Digest of the code that trains a method, so that a changed method is trained again.

The digest covers the module that defines the method and, transitively, its imports from

- the suite's contracts and numerics (`SHARED`),
- its own package, and
- modules that belong to no installed package, such as a helper file beside a plugin.

It is computed from the syntax tree without comments, docstrings, titles, cards and the
documentation of parameters, so that changes of text do not change it. Imports are read from the
source; only the ``__init__`` of packages is executed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SHARED = (
    "otbench.interface.data",
    "otbench.interface.method",
    "otbench.interface.training",
    "otbench.nn",
    "otbench.ot",
)
"""Modules and packages of the suite whose code affects what a method learns."""

PROSE = ("card", "title")
"""Class attributes that are documentation only."""


def code_digest(module: str, file: str | None = None, shared: tuple[str, ...] = SHARED) -> str:
    """Return the sha256 of the code of a module and its relevant imports, in a fixed order.

    Parameters
    ----------
    module : str
        Dotted name.
    file : str, optional
        The source file of a module that belongs to no package.
    shared : tuple of str
        Modules and packages of the suite that are included.
    """
    digest = hashlib.sha256()
    for name, path in sorted(sources(module, file, shared).items()):
        digest.update(name.encode() + b"\0" + code_of(path).encode() + b"\0")
    return digest.hexdigest()


def sources(
    module: str, file: str | None = None, shared: tuple[str, ...] = SHARED
) -> dict[str, Path]:
    """Return the source files that the digest of a module covers, by dotted name."""
    package = module.split(".")[0]
    beside = Path(file).resolve().parent if file else None
    found: dict[str, Path] = {}
    waiting = [(module, Path(file) if file else _source(module, package, None))]
    while waiting:
        name, path = waiting.pop()
        if path is None or name in found:
            continue
        found[name] = path
        for imported in _imports(path, name, package, beside):
            source = _source(imported, package, beside)
            if source is not None and _relevant(imported, source, package, shared):
                waiting.append((imported, source))
    return found


def _relevant(module: str, source: Path, package: str, shared: tuple[str, ...]) -> bool:
    top = module.split(".")[0]
    if top == "otbench":
        return module == "otbench.interface" or any(
            module == name or module.startswith(f"{name}.") for name in shared
        )
    return top == package or not _is_installed(source)


@cache
def _is_installed(source: Path) -> bool:
    """Return whether a file belongs to Python itself or to an installed package."""
    return any(source.is_relative_to(folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [*(sysconfig.get_path(name) for name in names), *sys.path]
    packages = ("site-packages", "dist-packages")
    return tuple(
        Path(folder).resolve()
        for number, folder in enumerate(folders)
        if folder and (number < len(names) or Path(folder).name in packages)
    )


@cache
def _installed_source(module: str) -> Path | None:
    """Return the source of a module on the import path; its parent packages are imported."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).resolve()


def _source(module: str, package: str, beside: Path | None) -> Path | None:
    """Return the source of a module; a plugin's folder is searched last.

    For a module of another installed package, the source of the top-level package is returned,
    because the search for a submodule would import the package.
    """
    top = module.split(".")[0]
    found = _installed_source(top)
    if top in ("otbench", package) or found is None or not _is_installed(found):
        found = _installed_source(module)
    if found is not None or beside is None:
        return found
    stem = beside.joinpath(*module.split("."))
    candidates = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _imports(path: Path, module: str, package: str, beside: Path | None) -> Iterator[str]:
    parts = module.split(".")
    for level, base, names in _parsed(path.read_bytes())[0]:
        if level:
            up = level - 1 if path.name == "__init__.py" else level
            base = ".".join([*parts[: len(parts) - up], *([base] if base else [])])
        yield base
        source = _source(base, package, beside) if base and names else None
        if source is not None and source.name == "__init__.py":
            yield from (f"{base}.{name}" for name in names)


def code_of(path: Path) -> str:
    """Return the code of a file in canonical form, without comments and documentation."""
    return _parsed(path.read_bytes())[1]


Import = tuple[int, str, tuple[str, ...]]


@cache
def _parsed(source: bytes) -> tuple[tuple[Import, ...], str]:
    """Return level, module and names of each import, and the code; cached, as files are shared."""
    tree = ast.parse(source)
    found: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append((node.level, node.module or "", names))
    return tuple(found), ast.unparse(_WithoutProse().visit(tree))


class _WithoutProse(ast.NodeTransformer):
    """Removes docstrings, descriptive class attributes and the documentation of parameters."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [child for child in node.body if not _describes(child)]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "parameter":
            node.args = node.args[:1]
            node.keywords = [word for word in node.keywords if word.arg == "default"]
        return self.generic_visit(node)


def _describes(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return bool(targets) and all(
        isinstance(target, ast.Name) and target.id in PROSE for target in targets
    )
