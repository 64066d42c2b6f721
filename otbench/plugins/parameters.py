"""Instantiation from a specification, with a check of names and types of parameters."""

from __future__ import annotations

import dataclasses
from typing import Any

from otbench.errors import ParameterError, UsageError, unknown_name
from otbench.interface.parameters import declared, members, type_hints
from otbench.plugins.selection import FIRST, Spec


def instantiate(cls: type, spec: Spec) -> Any:
    """Create an object from a specification.

    Raises
    ------
    UsageError
        If a parameter is unknown, missing, given twice, of the wrong type, or refused by the class.
    """
    return _construct(cls, spec, resolve(cls, spec))


def resolve(cls: type, spec: Spec) -> dict[str, Any]:
    """Return the given parameters by full name, each cast to its declared type."""
    fields = declared(cls)
    hints = type_hints(cls)
    given: dict[str, Any] = {}
    for key, value in spec.parameters:
        name = key or next(iter(fields), FIRST)
        if name not in fields:
            raise UsageError(f"{spec.name}: {unknown_name('parameter', name, fields)}")
        if name in given:
            raise UsageError(f"{spec.name}: parameter '{name}' is given twice")
        given[name] = _cast(value, hints[name])
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
    except ParameterError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(f"{spec.label}: {error}") from error


def _cast(value: Any, hint: Any) -> Any:
    """Convert a value that was read from text to its declared type, if that is lossless."""
    kinds = members(hint)
    if value is None and type(None) not in kinds and str in kinds:
        return "none"  # an ordinary word if the parameter is a string
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
