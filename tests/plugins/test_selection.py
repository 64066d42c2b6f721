"""The text of a selection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otbench.errors import UsageError
from otbench.plugins.selection import FIRST, Spec, parse


def test_names_are_separated_by_commas_or_given_apart() -> None:
    assert parse(["ae,vae", "acai"]) == [Spec("ae"), Spec("vae"), Spec("acai")]


def test_lists_make_a_grid() -> None:
    specs = parse(["path-energy[alpha=[1,3],tau=[1,10]]"])
    assert [dict(spec.parameters) for spec in specs] == [
        {"alpha": 1, "tau": 1},
        {"alpha": 1, "tau": 10},
        {"alpha": 3, "tau": 1},
        {"alpha": 3, "tau": 10},
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("3", 3),
        ("true", True),
        ("none", None),
        ("l1", "l1"),
        ("'a,b'", "a,b"),
        ("(1,2)", (1, 2)),
    ],
)
def test_values_are_read_as_what_they_look_like(text: str, value: object) -> None:
    (spec,) = parse([f"m[p={text}]"])
    assert spec.parameters == (("p", value),)


def test_a_value_without_a_name_belongs_to_the_first_parameter() -> None:
    assert parse(["fid[lenet]"]) == [Spec("fid", ((FIRST, "lenet"),))]
    assert parse(["folder:a b/c.d"]) == [Spec("folder", ((FIRST, "a b/c.d"),))]


def test_doubles_are_dropped() -> None:
    assert len(parse(["ae,ae", "ae"])) == 1


@pytest.mark.parametrize("text", ["ae[", "ae]", "[x=1]", "ae[x=1", "9ae", "a b"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse([text])


plain = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Z")), min_size=1),
)


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), plain, max_size=3))
def test_the_label_parses_back_to_the_specification(parameters: dict[str, object]) -> None:
    spec = Spec("method", tuple(parameters.items()))
    assert parse([spec.label]) == [spec]
