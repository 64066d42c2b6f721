"""Parameters of methods, data sets and metrics: declaration, constraints and checks.

The metaclass `Checked` checks every object, in a notebook as well as from the command line.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from abc import ABCMeta
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from otbench.errors import ParameterError


@dataclass(frozen=True)
class Constraint:
    """The values that a parameter may take, in addition to its type.

    For a tuple, the constraint applies to every item. Numbers must be finite in any case.

    Attributes
    ----------
    choices : tuple or None
    low, high : float or None
        Inclusive bounds.
    above, below : float or None
        Exclusive bounds.
    multiple_of : int or None
    nonempty : bool
        Whether a tuple must have at least one item.
    """

    choices: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    multiple_of: int | None = None
    nonempty: bool = False

    def allows(self, value: Any) -> bool:
        """Return whether a single value of the right type is allowed."""
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.multiple_of is None or value % self.multiple_of == 0)
        )

    def __str__(self) -> str:
        """Describe the allowed values; the text is empty if all are allowed."""
        if self.choices is not None:
            listed = ", ".join(map(str, self.choices))
            return f"one of {listed}" if len(self.choices) > 1 else listed
        if self.low is not None and self.high is not None:
            bounds = [f"from {_text(self.low)} to {_text(self.high)}"]
        else:
            named = (
                ("at least", self.low),
                ("above", self.above),
                ("at most", self.high),
                ("below", self.below),
            )
            bounds = [f"{word} {_text(bound)}" for word, bound in named if bound is not None]
        multiple = f"a multiple of {self.multiple_of} " if self.multiple_of else ""
        return (multiple + " and ".join(bounds)).strip()


@dataclass(frozen=True)
class Search:
    """Where ``otbench tune`` looks for the value of a parameter: a range, or a few choices.

    Attributes
    ----------
    low, high : int, float or None
        Inclusive bounds; whole numbers for a parameter that is one.
    log : bool
        Whether equal factors are equally likely, not equal differences.
    choices : tuple or None
        In place of a range.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if self.choices is None:
            if self.low is None or self.high is None or not self.low < self.high:
                raise ValueError("a search needs low < high, or choices")
            if self.log and not self.low > 0:
                raise ValueError(f"a logarithmic search needs low > 0, got {self.low}")
        elif self.low is not None or self.high is not None or len(self.choices) < 2:
            raise ValueError("a search has two choices at least, and then no bounds")


def _text(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def parameter(
    default: Any,
    doc: str,
    origin: str = "chosen here",
    *,
    choices: tuple[Any, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    multiple_of: int | None = None,
    nonempty: bool = False,
    search: Search | None = None,
) -> Any:
    """Declare a parameter of a method or data set.

    Parameters
    ----------
    default : int, float, str, bool, or tuple of those
    doc : str
        Meaning and unit; ``otbench show`` prints it with the allowed values.
    origin : str
        Where the default comes from: a paper's section, released code, or a sweep.
    choices, low, high, above, below, multiple_of, nonempty
        See `Constraint`.
    search : Search, optional
        Where ``otbench tune`` looks for its value; a parameter without it is not tuned.

    Returns
    -------
    dataclasses.Field
    """
    constraint = Constraint(choices, low, high, above, below, multiple_of, nonempty)
    metadata = {"doc": doc, "origin": origin, "constraint": constraint, "search": search}
    return dataclasses.field(default=default, metadata=metadata)


def declared(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the parameters that a dataclass declares, by name.

    Raises
    ------
    TypeError
        If the class is not a dataclass.
    """
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__qualname__} is not a dataclass: decorate it with @dataclass")
    return {f.name: f for f in dataclasses.fields(cls) if f.init}


@cache
def type_hints(cls: type) -> dict[str, Any]:
    """Return the type annotations of a class, by name."""
    return typing.get_type_hints(cls)


def members(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or a single type as a tuple."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def constraint_of(field: dataclasses.Field[Any]) -> Constraint:
    """Return the constraint that a field was declared with."""
    found: Constraint = field.metadata.get("constraint", Constraint())
    return found


def search_space(cls: type) -> dict[str, Search]:
    """Return where the value of each parameter of a class is looked for, of those that are tuned.

    Raises
    ------
    TypeError
        If an end or choice of a search is a value that the parameter does not allow.
    """
    found: dict[str, Search] = {}
    hints = type_hints(cls)
    for name, field in declared(cls).items():
        search = field.metadata.get("search")
        if search is None:
            continue
        for value in search.choices or (search.low, search.high):
            if fault := fault_of(name, value, hints[name], constraint_of(field)):
                raise TypeError(f"the search of {cls.__qualname__} goes too far: {fault}")
        found[name] = search
    return found


class Checked(ABCMeta):
    """Metaclass that checks the parameters of every object when it is made."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an object and check its parameters.

        Raises
        ------
        ParameterError
            If a parameter has the wrong type or a value that is not allowed, or if parameters
            conflict; the message starts with the registered name of the class.
        """
        if not dataclasses.is_dataclass(cls):
            return super().__call__(*args, **kwargs)
        # Arguments are checked before the class's own ``__post_init__`` can fail on them.
        given = dict(zip(declared(cls), args, strict=False)) | kwargs
        for fault in _faults_of(cls, given):
            raise ParameterError(f"{registered_name(cls)}: {fault}")
        made = super().__call__(*args, **kwargs)
        for fault in faults(made):
            raise ParameterError(f"{registered_name(cls)}: {fault}")
        return made


class Parametrised(metaclass=Checked):
    """Base of methods, data sets, metrics and executors: dataclasses of parameters."""

    def parameters(self) -> dict[str, Any]:
        """Return the declared parameters with their values."""
        return {name: getattr(self, name) for name in declared(type(self))}

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters that are allowed individually."""
        yield from ()


def faults(instance: Any) -> Iterator[str]:
    """Yield messages about invalid parameters of an object, without the object's name."""
    found = list(_faults_of(type(instance), vars(instance)))
    yield from found or instance.conflicts()


def _faults_of(cls: type, values: dict[str, Any]) -> Iterator[str]:
    """Yield a message for each invalid value among the given parameters of a class."""
    hints = type_hints(cls)
    for name, field in declared(cls).items():
        if name in values:
            fault = fault_of(name, values[name], hints[name], constraint_of(field))
            if fault is not None:
                yield fault


def fault_of(name: str, value: Any, hint: Any, constraint: Constraint) -> str | None:
    """Return a message if a value is invalid, or None."""
    if not _is_of_type(value, hint):
        return f"{name} must be {type_name(hint)}, got {value!r}"
    if value is None:
        return None
    items = value if isinstance(value, tuple) else (value,)
    each = "every item of " if isinstance(value, tuple) else ""
    if constraint.nonempty and not items:
        return f"{name} must name at least one value"
    for item in items:
        if isinstance(item, float) and not math.isfinite(item):
            return f"{each}{name} must be a finite number, got {item}"
        if not constraint.allows(item):
            return f"{each}{name} must be {constraint}, got {item!r}{_hint(item, constraint)}"
    return None


def _hint(value: Any, constraint: Constraint) -> str:
    choices = [choice for choice in constraint.choices or () if isinstance(choice, str)]
    near = get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _is_of_type(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    kinds = members(hint)
    if len(kinds) > 1:
        return any(_is_of_type(value, kind) for kind in kinds)
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and _are_of_types(value, typing.get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, typing.get_origin(hint) or hint)


def _are_of_types(values: tuple[Any, ...], kinds: tuple[Any, ...]) -> bool:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return all(_is_of_type(value, kinds[0]) for value in values)
    return len(values) == len(kinds) and all(map(_is_of_type, values, kinds))


NAMES = {
    float: "a number",
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    type(None): "none",
}


def type_name(hint: Any) -> str:
    """Describe a type in plain words, such as ``a whole number`` or ``2 numbers``."""
    kinds = members(hint)
    if len(kinds) > 1:
        return " or ".join(map(type_name, kinds))
    if typing.get_origin(hint) is typing.Literal:
        return str(Constraint(choices=typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        plural = NAMES.get(kinds[0], str(kinds[0])).removeprefix("a ") + "s"
        return plural if kinds[-1] is Ellipsis else f"{len(kinds)} {plural}"
    return NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def registered_name(cls: type) -> str:
    """Return the name that a class is registered under, or its own name in kebab-case."""
    value = f"{cls.__module__}:{cls.__qualname__}"
    for group in ("otbench.methods", "otbench.datasets", "otbench.metrics", "otbench.executors"):
        for point in entry_points(group=group):
            if point.value == value:
                return point.name
    own = vars(cls).get("name")
    return own if isinstance(own, str) else kebab(cls.__name__)


def kebab(name: str) -> str:
    """Turn ``MyMethod`` or ``my_method`` into ``my-method``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", name).lower()


def with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Convert the lists among values that were read from JSON to tuples."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
