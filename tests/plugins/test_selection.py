"""The text of a selection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otbench.errors import UsageError
from otbench.plugins.selection import FIRST, Spec, choose, parse


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m[a=1,a=2]", "'a' twice"),
        ("m[a=1,a=[1,2]]", "'a' twice"),
        ("m[3,4]", "without a name twice"),
        ("m:x[y]", "without a name twice"),
        (f"m[a={list(range(101))},b={list(range(100))}]", "10,100 combinations"),
        ("m[" + ",".join(f"p{n}=[0,1]" for n in range(200)) + "]", "combinations"),
    ],
)
def test_a_grid_is_refused_before_it_is_multiplied_out(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse([text])


NAMES = ["ae", "acai", "w2-ott", "w2-icnn"]


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        (["all"], {"ae": False, "acai": False, "w2-ott": False, "w2-icnn": False}),
        (["all,-acai"], {"ae": False, "w2-ott": False, "w2-icnn": False}),
        (["all,-w2-*", "acai"], {"ae": False, "acai": True}),
        (["w2-*"], {"w2-ott": False, "w2-icnn": False}),
        (["-acai,a*"], {"ae": False}),
        (["ae,-ae"], {}),
        (["acai", "all", "-w2-*"], {"acai": True, "ae": False}),
    ],
)
def test_wildcards_and_exclusions_choose_names(texts: list[str], chosen: dict[str, bool]) -> None:
    found = choose(texts, NAMES, "method")
    assert {spec.label: named for spec, named in found.items()} == chosen


def test_an_exclusion_leaves_out_all_settings_of_a_method() -> None:
    assert not choose(["ae[lr=[1,2]],-ae"], NAMES, "method")


@pytest.mark.parametrize("text", ["acia", "all,-acia", "x*", "-x*", "w2-*[lr=1]", "all,-ae[lr=1]"])
def test_a_name_that_fits_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        choose([text], NAMES, "method")
