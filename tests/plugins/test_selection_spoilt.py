"""Any text is a selection or a sentence about what is wrong with it, and no text takes long."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from otbench.cli.execution import seconds
from otbench.errors import UsageError
from otbench.interface import Split
from otbench.plugins.registry import Registry
from otbench.plugins.selection import choose, parse, parse_one
from otbench_datasets.images.idx import pairs_of_classes
from tests.fuzzing import QUICKLY, ours_or_nothing

PARTS = [
    *("ae", "path-energy", "folder", ":", "[", "]", "(", ")", "{", "}", ",", "=", "-", "*", "?"),
    *(
        "alpha",
        "1",
        "0x1",
        "1e400",
        "1e-5",
        "-0.0",
        "9" * 5000,
        "1_0",
        "true",
        "None",
        "nan",
        "inf",
    ),
    *("'", '"', "\\", "\\d", "'\\ud800'", "b'x'", "...", "1j", "1is", "\0", "\n", " ", "é", "٣"),
    *("[[", "((", "{1:", "{1}", "[]", "()", "lambda:0", "f'{1}'", "all", "!", "//", "%s"),
    *("nan", "inf", "\ud800"),
]
NAMES = Registry("methods").names()

texts = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=12).map("".join),
    st.text(max_size=20),
    st.builds("ae[alpha={}]".format, st.lists(st.sampled_from(PARTS), max_size=6).map("".join)),
)


@QUICKLY
@given(texts)
def test_any_text_is_a_selection_or_a_sentence(text: str) -> None:
    with ours_or_nothing():
        for spec in parse([text]):
            assert parse_one(spec.label) == [spec], "it prints as something else"
    with ours_or_nothing():
        assert all(spec.name in NAMES for spec in choose([text], NAMES, "method"))
    with ours_or_nothing():
        seconds("--timeout", text)


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 100_000, "ae[" * 30_000, "ae[x=" + "[" * 50_000 + "]" * 50_000 + "]"),
        *("ae[x=" + "(" * 50_000 + ")" * 50_000 + "]", "ae[x=" + "-" * 100_000 + "1]"),
        *("ae[x=" + "9" * 100_000 + "]", "a*" * 50_000, "," * 100_000, "ae," * 50_000),
        *("ae[x=1" + "+1" * 50_000 + "]", "ae[x='" + "\\" * 99_999 + "']"),
    ],
    ids=lambda text: text[:9],
)
def test_a_long_text_is_no_hang_and_no_traceback(text: str) -> None:
    with ours_or_nothing():
        parse([text])
    with ours_or_nothing():
        choose([text], NAMES, "method")


@pytest.mark.parametrize("value", ["{1: 2}", "{1}", "(1, [2])", "b'x'", "1j", "...", "1e400"])
def test_a_value_that_no_parameter_has_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="numbers, words"):
        parse_one(f"ae[x={value}]")


def test_a_grid_of_lists_is_refused() -> None:
    with pytest.raises(UsageError, match="not of lists"):
        parse_one("ae[alpha=[[1,2],[3]]]")


@QUICKLY
@given(texts)
def test_any_pairs_of_classes(text: str) -> None:
    split = Split(torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 0, 1]))
    with ours_or_nothing():
        pairs_of_classes(split, text, "mnist")
    with ours_or_nothing():
        pairs_of_classes(split, f"0-{text}", "mnist")
