"""From a specification to an object: parameters checked by name and by type."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from otbench.errors import UsageError, unknown_name
from otbench.plugins.selection import FIRST, Spec


def declared(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the parameters that a dataclass declares, by name."""
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__qualname__} is not a dataclass: decorate it with @dataclass")
    return {f.name: f for f in dataclasses.fields(cls) if f.init}


def from_json(values: dict[str, Any]) -> dict[str, Any]:
    """Give parameters that were written as JSON their tuples back; none is a list."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def instantiate(cls: type, spec: Spec) -> Any:
    """Make an object from a specification.

    Raises
    ------
    UsageError
        If a parameter is unknown, given twice, of the wrong type, refused by the class, or missing.
    """
    return _construct(cls, spec, resolve(cls, spec))


def resolve(cls: type, spec: Spec) -> dict[str, Any]:
    """Return the given parameters under their full names, each checked and cast to its type."""
    fields = declared(cls)
    hints = typing.get_type_hints(cls)
    given: dict[str, Any] = {}
    for key, value in spec.parameters:
        name = key or next(iter(fields), FIRST)
        if name not in fields:
            raise UsageError(f"{spec.name}: {unknown_name('parameter', name, fields)}")
        if name in given:
            raise UsageError(f"{spec.name}: parameter '{name}' is given twice")
        given[name] = _cast(spec.name, name, value, hints[name])
    return given


def _construct(cls: type, spec: Spec, given: dict[str, Any]) -> Any:
    required = [
        name
        for name, f in declared(cls).items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    absent = [name for name in required if name not in given]
    if absent:
        raise UsageError(f"{spec.name} needs {', '.join(absent)}: {spec.name}[{absent[0]}=...]")
    try:
        return cls(**given)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{spec.label}: {error}") from error


def _cast(owner: str, name: str, value: Any, hint: Any) -> Any:
    kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
    for kind in kinds:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if kind is type(None) and value is None:
            return None
        origin = typing.get_origin(kind) or kind
        if origin is Any or origin is typing.Literal:
            return value
        if isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
            return value
    if value is None and str in kinds:
        return "none"  # a word like any other where the parameter is one
    wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise UsageError(f"{owner}: parameter '{name}' wants {wanted}, got {value!r}")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)
