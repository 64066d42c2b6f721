"""Paired comparison of two methods, or of two results folders, over their common seeds.

All statistics are computed from paired differences for one seed, data set and metric. For few seeds
the t-interval is used because it has the nominal coverage (95 % for three normal values, where a
percentile bootstrap has 75 %). A sign-flip test on five pairs cannot go below p = .0625.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from otbench.results.statistics import interval

LEVEL = 0.05
"""Two-sided error of each interval, and of the whole family of tests after Holm's correction."""

POWER = 0.8
"""Power of the test for which `seeds_needed` returns the number of seeds."""

MOST_SEEDS = 1000
SAME_DATA = ["dataset", "variant", "preset", "track", "data_sha256"]
SAME_NUMBER = ["task", "metric", "direction", "score_sha256"]


@dataclass(frozen=True)
class Paired:
    """Summary of the paired differences b - a.

    Attributes
    ----------
    pairs : int
    mean_a, mean_b : float
        Means over the pairs.
    difference, low, high : float
        Mean of b - a and its 95 % t-interval; NaN bounds with fewer than two pairs.
    p : float
        p-value of the two-sided paired t-test; NaN with fewer than two pairs.
    effect : float
        Mean of the differences over their standard deviation (Cohen's d for pairs); infinite if all
        pairs differ by the same amount.
    improvement : float
        Probability of improvement (Agarwal et al. 2021): share of all n^2 pairs of runs in which b
        is better than a; ties count one half. NaN for a metric without a direction.
    seeds_needed : int or None
        Number of pairs with which a t-test detects a difference of this size with probability
        `POWER`; None if it exceeds `MOST_SEEDS` or is undefined.
    """

    pairs: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p: float
    effect: float
    improvement: float
    seeds_needed: int | None


def paired(a: Sequence[float], b: Sequence[float], direction: str = "neutral") -> Paired:
    """Compare paired values.

    Parameters
    ----------
    a, b : sequence of float, length n
        Values at the same position are from the same seed.
    direction : {"higher", "lower", "neutral"}
        Which values are better.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.
    """
    from scipy.stats import ttest_rel

    first, second = np.asarray(a, float), np.asarray(b, float)
    n = len(first)
    if n == 0 or len(second) != n:
        raise ValueError(f"pairs of values are needed, got {n} and {len(second)}")
    differences = second - first
    mean = float(differences.mean())
    low = high = p = effect = math.nan
    if n > 1:
        deviation = float(differences.std(ddof=1))
        half = interval(pd.Series(differences))
        low, high = mean - half, mean + half
        effect = mean / deviation if deviation else math.copysign(math.inf, mean) if mean else 0.0
        p = float(ttest_rel(second, first).pvalue) if deviation else float(mean == 0)
    better = {"higher": 1, "lower": -1}.get(direction)
    improvement = math.nan
    if better is not None:
        wins = np.sign(better * (second[:, None] - first[None, :]))
        improvement = float((wins + 1).mean() / 2)
    means = float(first.mean()), float(second.mean())
    needed = seeds_needed(effect)
    return Paired(n, *means, mean, low, high, p, effect, improvement, needed)


def seeds_needed(effect: float, level: float = LEVEL, power: float = POWER) -> int | None:
    """Return the number of pairs at which a two-sided t-test detects an effect.

    The power is computed with the noncentral t-distribution.

    Parameters
    ----------
    effect : float
        Mean of the differences over their standard deviation.

    Returns
    -------
    int or None
        None if no number up to `MOST_SEEDS` is sufficient.
    """
    from scipy.stats import nct, t

    if not math.isfinite(effect):
        return None if math.isnan(effect) else 2

    def tells(n: int) -> bool:
        critical = t.ppf(1 - level / 2, n - 1)
        return bool(nct.sf(critical, n - 1, abs(effect) * math.sqrt(n)) >= power)

    # The power grows with n.
    found = bisect_left(range(2, MOST_SEEDS + 1), True, key=tells) + 2
    return found if found <= MOST_SEEDS else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple testing (Holm 1979); NaN stays NaN and is not counted."""
    values = np.asarray(p_values, float)
    order = [i for i in np.argsort(values) if not math.isnan(values[i])]
    adjusted, running = values.copy(), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * values[index]))
        adjusted[index] = running
    return [float(value) for value in adjusted]


def compare(
    a: pd.DataFrame, b: pd.DataFrame, metrics: Sequence[str] | None = None, by_method: bool = False
) -> pd.DataFrame:
    """Compare two parts of a long table where both have values for the same seeds.

    Parameters
    ----------
    a, b : pandas.DataFrame
        Rows of the long table: one method each, or, with ``by_method``, one folder each.
    metrics : sequence of str, optional
        Ids of metrics, or their names before the bracket; by default, all metrics.
    by_method : bool
        Whether to pair rows of the same method, with one row of results per method.

    Returns
    -------
    pandas.DataFrame
        One row for each data set, task and metric: the fields of `Paired`, ``p_holm`` (over the
        rows of the data set) and ``verdict``: ``better``, ``worse`` or ``different`` of b against
        a, or ``not distinguishable``.
    """
    keys = [*SAME_DATA, *(["method"] if by_method else []), *SAME_NUMBER]
    sides = [_scored(side, metrics, keys) for side in (a, b)]
    joined = sides[0].merge(sides[1], on=[*keys, "seed"], suffixes=("_a", "_b"), how="inner")
    rows = []
    for key, part in joined.groupby(keys, sort=False, dropna=False):
        known = dict(zip(keys, key, strict=True))
        values = paired(part["value_a"].tolist(), part["value_b"].tolist(), str(known["direction"]))
        rows.append(known | asdict(values))
    table = pd.DataFrame(rows, columns=[*keys, *Paired.__dataclass_fields__])
    table["p_holm"] = table.groupby(SAME_DATA, dropna=False)["p"].transform(
        lambda p: pd.Series(holm(p.tolist()), index=p.index)
    )
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    return table


def _scored(rows: pd.DataFrame, metrics: Sequence[str] | None, keys: list[str]) -> pd.DataFrame:
    kept = rows[(rows["status"] == "ok") & rows["value"].notna()]
    if metrics is not None:
        names = kept["metric"].str.partition("[")[0]
        kept = kept[kept["metric"].isin(metrics) | names.isin(metrics)]
    return kept[[*keys, "seed", "value"]].drop_duplicates([*keys, "seed"], keep="last")


def _verdict(row: dict[Hashable, Any]) -> str:
    p, difference = row["p_holm"], row["difference"]
    if not p < LEVEL:
        return "not distinguishable"
    if row["direction"] == "neutral":
        return "different"
    return "better" if (difference > 0) == (row["direction"] == "higher") else "worse"
