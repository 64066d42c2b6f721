"""The rule that decides whether a claim holds, fails, or is not distinguishable.

A claim consists of comparisons between two numbers. Each seed gives a margin: the amount by which
the comparison is satisfied, in the unit of the numbers. Factors, as in ``0.5 * baseline``, are part
of the claim. Seeds are paired. With at least `LEAST_SEEDS` seeds, the 95 % t-interval of the mean
margin decides: the comparison holds if the interval is above 0, fails if it is below 0, and is not
distinguishable if it contains 0. If comparisons are joined by ``and``, all must hold, each at its
own level (an intersection-union test); if they are joined by ``or``, one must hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from otbench.report.terminal import number
from otbench.reproduce.declaration import Claim
from otbench.reproduce.expression import FAILS, HOLDS, Address
from otbench.reproduce.measure import LEAST_SEEDS, Measured
from otbench.results.statistics import interval

OPEN = "not distinguishable"
FEW, VOID, SHOWN, UNKNOWN = "too few seeds", "void", "shown", "not measured"


@dataclass(frozen=True)
class Verdict:
    """A claim and its outcome.

    Attributes
    ----------
    says : str
    check : str
        The expression.
    status : str
        ``holds``, ``fails`` or ``not distinguishable``, by the rule of this module; ``too few
        seeds`` for fewer than `LEAST_SEEDS`; ``void`` if a seed that is needed failed, collapsed or
        diverged; ``shown`` if the claim gives a reason not to judge it; ``not measured``.
    detail : str
        The expression with means, margins and number of seeds, or the reason for no verdict.
    """

    says: str
    check: str
    status: str
    detail: str


def judge(claim: Claim, measured: Sequence[Measured]) -> Verdict:
    """Judge a claim from the numbers of all seeds."""
    status, detail = _judge(claim, {one.address: one for one in measured})
    return Verdict(claim.says, claim.check.text, status, detail)


def _judge(claim: Claim, known: dict[Address, Measured]) -> tuple[str, str]:
    needed = [known[address] for address in claim.check.addresses]
    for one in needed:
        for seed, why in one.void.items():
            return VOID, f"{'.'.join(one.address)}, seed {seed}: {why}"
    for one in needed:
        if not one.values:
            return UNKNOWN, f"{'.'.join(one.address)}: {one.reason}"
    means = {one.address: one.mean for one in needed}
    filled = claim.check.filled_in(means, number)
    trained = [set(one.values) for one in needed if not one.reference]
    if not trained:
        return _of_references(claim, means, filled)
    seeds = sorted(set.union(*trained))
    for one in needed:
        lost = [seed for seed in seeds if seed not in one.values and not one.reference]
        if lost:
            why = one.reason or "it has no value"
            return VOID, f"{'.'.join(one.address)}, seed {lost[0]}: {why}"
    if claim.shown:
        return SHOWN, f"{filled}; not judged: {claim.shown}"
    values = {seed: {one.address: _value(one, seed) for one in needed} for seed in seeds}
    try:
        tests = {
            comparison: _Test(
                [claim.check.margin(comparison, values[seed]) for seed in seeds],
                comparison.strict,
            )
            for comparison in claim.check.comparisons
        }
        holds = claim.check.holds(means)
    except ZeroDivisionError:
        return UNKNOWN, f"{filled}: a divisor is 0"
    if not all(math.isfinite(margin) for test in tests.values() for margin in test.margins):
        return UNKNOWN, f"{filled}: a number is not finite"
    if len(seeds) < LEAST_SEEDS:
        said = "true" if holds else "false"
        return FEW, f"{filled}: {said} for the mean of {_count(len(seeds))}; needs {LEAST_SEEDS}"
    states = {comparison: test.state for comparison, test in tests.items()}
    margins = "; ".join(str(test) for test in tests.values())
    return claim.check.joined(states), f"{filled}, {_count(len(seeds))}; margin {margins}"


def _of_references(claim: Claim, means: dict[Address, float], filled: str) -> tuple[str, str]:
    """Judge a claim about references only, which are deterministic because they learn nothing."""
    if not all(map(math.isfinite, means.values())):
        return UNKNOWN, f"{filled}: a number is not finite"
    try:
        return (HOLDS if claim.check.holds(means) else FAILS), f"{filled}, exactly"
    except ZeroDivisionError:
        return UNKNOWN, f"{filled}: a divisor is 0"


def _value(one: Measured, seed: int) -> float:
    return one.mean if one.reference else one.values[seed]


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


@dataclass(frozen=True)
class _Test:
    """The margins of one comparison, one per seed."""

    margins: list[float]
    strict: bool

    @property
    def mean(self) -> float:
        return sum(self.margins) / len(self.margins)

    @property
    def half(self) -> float:
        return interval(pd.Series(self.margins))

    @property
    def exact(self) -> bool:
        """Whether the two sides are equal in every seed."""
        return not any(self.margins)

    @property
    def state(self) -> str:
        if self.mean - self.half > 0 or (not self.strict and self.exact):
            return HOLDS
        if self.mean + self.half < 0 or (self.strict and self.exact):
            return FAILS
        return OPEN

    def __str__(self) -> str:
        spread = pd.Series(self.margins).std()
        effect = f", effect {self.mean / spread:.1f}" if spread > 0 else ""
        return f"{number(self.mean)} ±{number(self.half)}{effect}"
