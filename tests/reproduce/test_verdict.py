"""The rule that decides whether a claim holds; checked against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from otbench.reproduce.declaration import Claim, reproductions
from otbench.reproduce.expression import Expression
from otbench.reproduce.measure import LEAST_SEEDS, Measured, sweeps_of
from otbench.reproduce.verdict import Verdict, judge


def numbers(method: str, values: list[float], **content: object) -> Measured:
    made = Measured("r", "q", method, "m", values=dict(enumerate(values)))
    for name, value in content.items():
        setattr(made, name, value)
    return made


def verdict(check: str, *measured: Measured, shown: str = "") -> Verdict:
    return judge(Claim("it is so", Expression.parse(check), shown), measured)


LOW, HIGH = [1.0, 1.2, 0.9, 1.1, 1.0], [2.0, 2.3, 1.7, 2.2, 2.1]


@pytest.mark.parametrize(
    ("check", "status"),
    [
        ("r.q.a < r.q.b", "holds"),
        ("r.q.a > r.q.b", "fails"),
        ("not r.q.a > r.q.b", "holds"),
        ("2 * r.q.a < r.q.b", "not distinguishable"),
        ("r.q.a < r.q.b and r.q.a < 2", "holds"),
        ("r.q.a < r.q.b and r.q.a > 2", "fails"),
        ("r.q.a > r.q.b or r.q.a < 2", "holds"),
        ("r.q.a < r.q.b and 2 * r.q.a < r.q.b", "not distinguishable"),
        ("r.q.a > r.q.b or 2 * r.q.a < r.q.b", "not distinguishable"),
        ("0 < r.q.a < r.q.b", "holds"),
        ("r.q.a < min(r.q.b, 1.5)", "holds"),
        ("r.q.a - r.q.a <= 0", "holds"),
        ("r.q.a - r.q.a < 0", "fails"),
    ],
)
def test_the_rule(check: str, status: str) -> None:
    assert verdict(check, numbers("a", LOW), numbers("b", HIGH)).status == status


def test_a_claim_over_a_lost_training_is_void() -> None:
    """Also where the one method that it is about lost a seed, or all of them."""
    lost = numbers("a", LOW[:4], void={4: "collapsed: no variance"})
    for check in ("r.q.a < r.q.b", "r.q.a < 2", "r.q.b > r.q.a"):
        made = verdict(check, lost, numbers("b", HIGH))
        assert (made.status, made.detail) == ("void", "r.q.a, seed 4: collapsed: no variance")
    assert verdict("r.q.a < 2", numbers("a", [], void={0: "diverged: worse"})).status == "void"
    assert verdict("r.q.b < 9", lost, numbers("b", HIGH)).status == "holds"


def test_the_interval_is_scipys_paired_one() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        a, b = generator.normal(0, 1, 5), generator.normal(0.8, 1, 5)
        low, high = stats.ttest_rel(b, a).confidence_interval(0.95)
        wanted = "holds" if low > 0 else "fails" if high < 0 else "not distinguishable"
        assert verdict("r.q.a < r.q.b", numbers("a", [*a]), numbers("b", [*b])).status == wanted


def test_a_claim_that_is_not_so_seldom_holds() -> None:
    """Two methods that do not differ: one in forty holds by chance, one in forty fails."""
    generator = np.random.default_rng(1)
    held = [
        verdict(
            "r.q.a < r.q.b",
            numbers("a", [*generator.normal(size=5)]),
            numbers("b", [*generator.normal(size=5)]),
        ).status
        for _ in range(1000)
    ]
    assert 0.01 < held.count("holds") / 1000 < 0.045
    assert held.count("not distinguishable") > 900


def test_seeds_are_paired() -> None:
    """A difference of .1 in every seed is told though seeds differ by 10."""
    base = [0.0, 10.0, 20.0, 30.0, 40.0]
    better = [value + 0.1 + 0.01 * i for i, value in enumerate(base)]
    assert verdict("r.q.a < r.q.b", numbers("a", base), numbers("b", better)).status == "holds"
    mixed_up = [better[i] for i in (3, 0, 4, 1, 2)]
    assert (
        verdict("r.q.a < r.q.b", numbers("a", base), numbers("b", mixed_up)).status
        == "not distinguishable"
    )


def test_few_seeds_are_no_verdict() -> None:
    made = verdict("r.q.a < r.q.b", numbers("a", LOW[:3]), numbers("b", HIGH[:3]))
    assert made.status == "too few seeds"
    assert made.detail == "1.033 < 2: true for the mean of 3 seeds; needs 5"


def test_a_claim_over_failed_seeds_is_void() -> None:
    lost = numbers("b", HIGH[:4], reason="a loss became nan")
    made = verdict("r.q.a < r.q.b", numbers("a", LOW), lost)
    assert made.status == "void"
    assert made.detail == "r.q.b, seed 4: a loss became nan"


def test_a_reference_counts_for_every_seed() -> None:
    exact = numbers("b", [2.0], reference=True)
    assert verdict("r.q.a < r.q.b", numbers("a", LOW), exact).status == "holds"


def test_between_references_there_is_no_chance() -> None:
    pair = (numbers("a", [1.0], reference=True), numbers("b", [2.0], reference=True))
    assert verdict("r.q.a < r.q.b", *pair).status == "holds"
    assert verdict("r.q.a > r.q.b", *pair).status == "fails"
    assert verdict("r.q.a / (r.q.b - 2) > 1", *pair).status == "not measured"
    nothing = numbers("b", [math.nan], reference=True)
    assert verdict("r.q.a > r.q.b", pair[0], nothing).status == "not measured"


@pytest.mark.parametrize(
    ("check", "b", "reason"),
    [
        ("r.q.a / r.q.b < 1", [0.0] * 5, "a divisor is 0"),
        ("r.q.a < r.q.b", [math.inf] * 5, "a number is not finite"),
        ("r.q.a < r.q.b", [], "b: it was not measured"),
    ],
)
def test_arithmetic_that_fails_is_a_reason(check: str, b: list[float], reason: str) -> None:
    made = verdict(check, numbers("a", LOW), numbers("b", b, reason="it was not measured"))
    assert made.status == "not measured"
    assert reason in made.detail


def test_what_was_trained_on_is_shown_and_not_judged() -> None:
    made = verdict("r.q.a < r.q.b", numbers("a", LOW), numbers("b", HIGH), shown="trained on it")
    assert made.status == "shown"
    assert "not judged: trained on it" in made.detail


def test_presets_that_judge_ask_for_enough_seeds() -> None:
    for one in reproductions().values():
        for preset in ("standard", "paper"):
            made = sweeps_of(one.at(preset), preset, None)
            assert all(len(sweep.seeds) >= LEAST_SEEDS for sweep in made), one.id


def test_no_claim_is_made_twice() -> None:
    checks = [
        (one.id.partition("/")[0], claim.check.text)
        for one in reproductions().values()
        for claim in one.claims
        if not claim.check.text.startswith("mnist.")  # two tables of one paper name runs alike
    ]
    same = {check for check in checks if checks.count(check) > 1}
    assert not same
