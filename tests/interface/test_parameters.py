"""Every declared constraint of every method, data set and metric is held, by generated values."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from typing import Any

import pytest

from otbench.errors import ParameterError
from otbench.interface.parameters import (
    Constraint,
    Parametrised,
    constraint_of,
    declared,
    kebab,
    parameter,
    registered_name,
)
from otbench.plugins.registry import Registry

KINDS = ("methods", "datasets", "metrics")
NAMES = [(kind, name) for kind in KINDS for name in Registry(kind).names()]


def beyond(constraint: Constraint) -> Iterator[Any]:
    """Yield values of the right type that a constraint must refuse."""
    if constraint.choices is not None:
        yield "no such choice" if isinstance(constraint.choices[0], str) else -12345
        return
    for bound, step in ((constraint.low, -1), (constraint.high, 1)):
        if bound is not None:
            yield bound + step
    for bound in (constraint.above, constraint.below):
        if bound is not None:
            yield bound
    if constraint.multiple_of is not None and constraint.low is not None:
        yield int(constraint.low) + 1


def kinds_of(hint: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(hint)
    return typing.get_args(hint) if origin not in (None, tuple, typing.Literal) else (hint,)


def bad_values(hint: Any, constraint: Constraint) -> Iterator[Any]:
    """Yield values that must be refused: of another type, out of bounds, not finite."""
    yield object()
    for kind in kinds_of(hint):
        if typing.get_origin(kind) is tuple:
            items = typing.get_args(kind)
            length = 1 if items[-1] is Ellipsis else len(items)
            yield ("text",) * length
            if items[-1] is not Ellipsis:
                yield (0.5,) * (length + 1)
            for item in (*beyond(constraint), *((math.nan,) if items[0] is float else ())):
                yield (item,) * length
            if constraint.nonempty:
                yield ()
            continue
        if kind is float:
            yield from (math.nan, math.inf, -math.inf, True)
        if kind is int:
            yield from (1.5, True)
        if kind in (int, float, str):
            yield from beyond(constraint)
        if typing.get_origin(kind) is typing.Literal:
            yield "no such choice"


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=lambda value: value)
def test_what_is_not_allowed_is_refused_by_the_registered_name(kind: str, name: str) -> None:
    cls = Registry(kind).get(name).load()
    hints = typing.get_type_hints(cls)
    required = {n: "x" for n, f in declared(cls).items() if f.default is MISSING}
    for parameter_name, field in declared(cls).items():
        for value in bad_values(hints[parameter_name], constraint_of(field)):
            with pytest.raises(ParameterError, match=parameter_name) as caught:
                cls(**required | {parameter_name: value})
            assert str(caught.value).startswith(f"{name}: "), value


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=lambda value: value)
def test_defaults_are_allowed(kind: str, name: str) -> None:
    cls = Registry(kind).get(name).load()
    required = {n: "x" for n, f in declared(cls).items() if f.default is MISSING}
    assert cls(**required).parameters().keys() == declared(cls).keys()


@dataclass
class Sample(Parametrised):
    rate: float = parameter(0.5, "a share", above=0, high=1)
    side: int = parameter(16, "pixels", low=8, high=64, multiple_of=8)
    form: str = parameter("round", "a form", choices=("round", "square"))
    layers: tuple[int, ...] = parameter((4,), "units", low=1, nonempty=True)
    decays: tuple[float, float] = parameter((0.9, 0.99), "decays", low=0, below=1)
    cap: float | None = parameter(None, "a cap", low=0)

    def __post_init__(self) -> None:
        """Do something of its own: the parameters are checked all the same."""

    def conflicts(self) -> Iterator[str]:
        if self.form == "square" and self.rate == 1:
            yield "form=square needs a rate below 1"


@pytest.mark.parametrize(
    "given",
    [
        {"rate": 1},
        {"rate": 1e-300},
        {"side": 8},
        {"side": 64},
        {"form": "square"},
        {"layers": (1, 2, 3)},
        {"decays": (0.0, 0.999)},
        {"cap": 0.0},
        {"cap": None},
    ],
)
def test_values_on_the_bounds_are_allowed(given: dict[str, Any]) -> None:
    assert Sample(**given).parameters() == Sample().parameters() | given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 0}, "sample: rate must be above 0 and at most 1, got 0"),
        ({"rate": math.nan}, "sample: rate must be a finite number, got nan"),
        ({"side": 12}, "sample: side must be a multiple of 8 from 8 to 64, got 12"),
        ({"side": 16.0}, "sample: side must be a whole number, got 16.0"),
        ({"form": "squar"}, "one of round, square, got 'squar'; did you mean square?"),
        ({"layers": ()}, "sample: layers must name at least one value"),
        ({"layers": (4, 0)}, "sample: every item of layers must be at least 1, got 0"),
        ({"layers": [4]}, "sample: layers must be whole numbers, got [4]"),
        ({"decays": (0.9,)}, "sample: decays must be 2 numbers, got (0.9,)"),
        ({"cap": -1.0}, "sample: cap must be at least 0, got -1.0"),
        ({"form": "square", "rate": 1}, "sample: form=square needs a rate below 1"),
    ],
)
def test_messages_say_what_would_be_right(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Sample(**given)
    assert message in str(caught.value)


def test_names_are_those_of_the_registry_or_of_the_class() -> None:
    for kind, name in NAMES:
        assert registered_name(Registry(kind).get(name).load()) == name
    assert registered_name(Sample) == "sample"
    assert kebab("MyMethod") == kebab("my_method") == "my-method"
