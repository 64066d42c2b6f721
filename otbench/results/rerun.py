"""Whether the same run on another machine came to what was printed.

The intervals that tables print are put to the test: how many means of the second run lie within
those of the first, how many of its single trainings within the interval of one more training, and
whether the metrics rank the methods in the same order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from otbench.results.record import LOST
from otbench.results.shipped import with_shipped
from otbench.results.statistics import summary

SAME = ["dataset", "variant", "data_sha256", "preset", "track", "method", "params"]
NUMBER = ["task", "metric"]
LEAST_RANKED = 3
"""Methods below which an order says nothing."""


@dataclass(frozen=True)
class Agreement:
    """How far two runs of one command agree, over trained methods.

    Attributes
    ----------
    means : int
        Means with an interval in the first run, and a value in the second.
    means_within : int
        Those of the second run that lie within the printed 95 % interval of the first.
    trainings : int
        Single trainings of the second run, of the numbers that have an interval of one more.
    trainings_within : int
        Those that lie within it.
    orders : pandas.DataFrame
        Kendall's tau-b between the means of the two runs, one row a data set, task and metric, with
        the number of methods; NaN where all methods score the same.
    lost : tuple of int
        Trainings of either run that collapsed or diverged, and are in no number above.
    """

    means: int
    means_within: int
    trainings: int
    trainings_within: int
    orders: pd.DataFrame
    lost: tuple[int, int]

    @property
    def tau(self) -> float:
        """Mean of Kendall's tau over the metrics that have one."""
        return float(self.orders["tau"].mean())


def agreement(first: pd.DataFrame, second: pd.DataFrame) -> Agreement:
    """Compare two runs of one command, such as on two kinds of CPU.

    A mean of several seeds is held against ``ci95``, a single training against the interval that
    the shipped reference runs give it. Numbers that are the same for every training, such as the
    size of a code, have no interval to be within and are left out.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Long tables.

    Raises
    ------
    ValueError
        If they share no number of a trained method.
    """
    first, second = (table[table["reference"] != True] for table in (first, second))  # noqa: E712
    keys = [*SAME, *NUMBER]
    joined = with_shipped(summary(first)).merge(
        with_shipped(summary(second)), on=keys, suffixes=("", "_again")
    )
    if joined.empty:
        raise ValueError("the two share no number of a trained method, data set and preset")
    half = joined["ci95"].where(joined["seeds"] > 1, joined["pi95"])
    known = half > 0
    near = (joined["mean_again"] - joined["mean"]).abs() <= half
    scored = second[(second["status"] == "ok") & second["value"].notna()]
    single = scored[[*keys, "value"]].merge(joined[[*keys, "mean", "pi95"]], on=keys)
    single = single[single["pi95"] > 0]
    inside = (single["value"] - single["mean"]).abs() <= single["pi95"]
    return Agreement(
        means=int(known.sum()),
        means_within=int((near & known).sum()),
        trainings=len(single),
        trainings_within=int(inside.sum()),
        orders=_orders(joined),
        lost=(_lost(first), _lost(second)),
    )


def _orders(joined: pd.DataFrame) -> pd.DataFrame:
    from scipy.stats import kendalltau

    rows = []
    for key, part in joined.groupby(["dataset", "preset", *NUMBER], sort=False):
        if len(part) < LEAST_RANKED:
            continue
        constant = part["mean"].nunique() == 1 or part["mean_again"].nunique() == 1
        tau = math.nan if constant else float(kendalltau(part["mean"], part["mean_again"])[0])
        rows.append((*key, len(part), tau))
    return pd.DataFrame(rows, columns=["dataset", "preset", *NUMBER, "methods", "tau"])


def _lost(rows: pd.DataFrame) -> int:
    return int(rows.loc[rows["status"].isin(LOST), "cell"].nunique())
