"""Whether a claim holds on the numbers measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otbench.report.terminal import number
from otbench.reproduce.declaration import Claim
from otbench.reproduce.measure import Measured

HOLDS, MIXED, FAILS, UNKNOWN = "holds", "mixed", "fails", "not measured"


@dataclass(frozen=True)
class Verdict:
    """A claim and its outcome.

    Attributes
    ----------
    says : str
    check : str
        The expression.
    status : str
        ``holds``: for the means and for every seed. ``mixed``: for the means or for some seeds,
        but not for all of these. ``fails``. ``not measured``.
    detail : str
        The expression with the means filled in and the count of seeds, or why it is unknown.
    """

    says: str
    check: str
    status: str
    detail: str


def judge(claim: Claim, measured: Sequence[Measured]) -> Verdict:
    """Evaluate a claim for the means and for every seed; a missing number makes it undecided."""
    known = {one.address: one for one in measured}
    needed = [known[address] for address in claim.check.addresses]
    missing = [one for one in needed if not one.values]
    if missing:
        one = missing[0]
        reason = f"{'.'.join(one.address)}: {one.reason}"
        return Verdict(claim.says, claim.check.text, UNKNOWN, reason)
    try:
        return _judge(claim, needed)
    except ZeroDivisionError:
        return Verdict(claim.says, claim.check.text, UNKNOWN, "a number divided by is 0")


def _judge(claim: Claim, needed: Sequence[Measured]) -> Verdict:
    means = {one.address: one.mean for one in needed}
    seeds = sorted(set.union(*(set(one.values) for one in needed)))
    complete = [seed for seed in seeds if all(seed in one.values for one in needed)]
    won = sum(
        claim.check.holds({one.address: one.values[seed] for one in needed}) for seed in complete
    )
    in_mean = claim.check.holds(means)
    status = MIXED if in_mean or won else FAILS
    if in_mean and won == len(seeds):
        status = HOLDS
    detail = f"{claim.check.filled_in(means, number)}, in {won} of {len(seeds)} seeds"
    return Verdict(claim.says, claim.check.text, status, detail)
