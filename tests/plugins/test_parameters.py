"""Parameters are checked by name and type before anything starts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from otbench.errors import UsageError
from otbench.interface.parameters import Parametrised
from otbench.plugins.parameters import instantiate, resolve
from otbench.plugins.selection import parse_one


@dataclass
class Thing(Parametrised):
    path: str
    rate: float = 0.1
    count: int = 3
    flag: bool = False
    cap: float | None = None
    solver: str = "fast"

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")


def make(text: str) -> Thing:
    (spec,) = parse_one(text)
    thing = instantiate(Thing, spec)
    assert isinstance(thing, Thing)
    return thing


def test_values_are_cast_to_the_declared_types() -> None:
    thing = make("thing[a/b,rate=2,cap=1]")
    assert thing == Thing("a/b", rate=2.0, cap=1.0)
    assert isinstance(thing.rate, float)
    assert make("thing[x,cap=none]").cap is None
    assert make("thing[x,solver=none]").solver == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thing[x,rat=1]", "did you mean rate"),
        ("thing[x,rate=fast]", "rate must be a number, got 'fast'"),
        ("thing[x,count=1.5]", "count must be a whole number"),
        ("thing[x,count=true]", "count must be a whole number"),
        ("thing[x,flag=1]", "flag must be true or false"),
        ("thing[x,path=y]", "given twice"),
        ("thing", "needs path"),
        ("thing[x,count=-1]", "count must not be negative"),
    ],
)
def test_wrong_parameters_are_refused_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(text)


def test_only_what_was_given_is_resolved() -> None:
    (spec,) = parse_one("thing[x,rate=1]")
    assert resolve(Thing, spec) == {"path": "x", "rate": 1.0}
