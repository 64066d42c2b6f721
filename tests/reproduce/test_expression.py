from __future__ import annotations

import pytest

from otbench.errors import UsageError
from otbench.reproduce.expression import Expression

A, B = ("disc", "w2", "ours"), ("disc", "w2", "baseline")


def test_it_knows_the_numbers_it_speaks_of():
    claim = Expression.parse("disc.w2.ours < 0.5 * disc.w2.baseline and disc.w2.ours > 0")
    assert claim.addresses == (A, B)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("disc.w2.ours < disc.w2.baseline", True),
        ("disc.w2.ours >= disc.w2.baseline", False),
        ("0 < disc.w2.ours < 1 < disc.w2.baseline", False),
        ("disc.w2.baseline / disc.w2.ours > 2.9 and disc.w2.ours <= 1", True),
        ("not disc.w2.ours > 2 or disc.w2.baseline < 0", True),
        ("abs(disc.w2.ours - disc.w2.baseline) < 2.5", True),
        ("-disc.w2.ours > -disc.w2.baseline", True),
        ("max(disc.w2.ours, 4) > min(disc.w2.baseline, 5) + disc.w2.ours", False),
    ],
)
def test_it_is_evaluated_as_python_would(text, expected):
    assert Expression.parse(text).holds({A: 1.0, B: 3.0}) is expected


@pytest.mark.parametrize(
    "text",
    [
        "disc.w2.ours",
        "disc.w2.ours < disc.w2",
        "disc.w2.ours == disc.w2.baseline",
        "__import__('os').system('true') < 1",
        "disc.w2.ours.real < 1",
        "disc.w2.ours < 'text'",
        "disc.w2.ours < True",
        "disc.w2.ours < pow(2, 9)",
        "disc.w2.ours < [1][0]",
        "disc.w2.ours ** 2 < 1",
        "disc.w2.ours <",
        "False and disc.w2.ours < open('x')",
    ],
)
def test_nothing_else_is_understood(text):
    with pytest.raises(UsageError, match="claim"):
        Expression.parse(text)


def test_the_numbers_are_filled_in():
    claim = Expression.parse("disc.w2.ours < 0.5 * disc.w2.baseline")
    assert claim.filled_in({A: 1.0, B: 3.0}, lambda value: f"{value:g}") == "1 < 0.5 * 3"


def test_a_missing_number_is_a_key_error():
    with pytest.raises(KeyError):
        Expression.parse("disc.w2.ours < disc.w2.baseline").holds({A: 1.0})
