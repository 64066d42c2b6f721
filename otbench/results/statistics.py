"""Statistics over seeds: intervals, summaries, and the share of seeds that diverged."""

from __future__ import annotations

import math

import pandas as pd

from otbench.results.record import LOST

MAP_TASK, UVP_METRIC = "transport", "uvp[forward]"
MAP_TASKS = (MAP_TASK, "translation")
ENDED = ("ok", "failed", *LOST)
"""Statuses of rows that show whether the training succeeded."""

DIVERGED_UVP = 101.0
"""Unexplained variance, in percent, above which a map counts as diverged.

A constant map has 100, or up to 101 if its value is the mean of a sample."""


def interval(values: pd.Series) -> float:
    """Return the half-width of the 95 % t-interval of the mean; NaN for fewer than two values."""
    # The import of scipy.stats takes a second; its quantile is this function.
    from scipy.special import stdtrit

    n = len(values)
    if n < 2:
        return math.nan
    return float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / math.sqrt(n))


def prediction(values: pd.Series) -> float:
    """Return the half-width of the 95 % prediction interval of one more value; NaN for under two.

    t s sqrt(1 + 1/n): of new values of the same normal law, 95 % lie that near to the mean of n.
    """
    return interval(values) * math.sqrt(len(values) + 1)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Average over seeds, with one row per method and metric.

    Returns
    -------
    pandas.DataFrame
        ``mean``, ``median``, ``std`` (ddof 1), ``ci95`` and ``pi95`` (half-widths of the 95 %
        intervals of the mean and of one more training), ``stderr`` (within the test set, if there
        is a single seed), ``seeds``, ``direction``, ``reference``, ``params`` and ``data_sha256``,
        in the order of the results. If seeds of one group were scored with different code or
        sizes, each of these has its own row.
    """
    scored = results[(results["status"] == "ok") & results["value"].notna()]
    keys = [*WHAT, "task", "metric", "direction", "score_sha256", "reference"]
    grouped = scored.groupby(keys, sort=False, dropna=False)["value"]
    out = grouped.agg(
        mean="mean", median="median", std="std", ci95=interval, pi95=prediction, seeds="count"
    ).reset_index()
    of_group = scored.groupby(keys, sort=False, dropna=False)[["stderr", "params", "data_sha256"]]
    first = of_group.first().reset_index(drop=True)
    out["stderr"] = first["stderr"].where(out["seeds"] == 1)
    return out.assign(params=first["params"], data_sha256=first["data_sha256"])


WHAT = ["dataset", "variant", "preset", "track", "method", "group"]
"""The columns that identify a line of a table; within one, cells differ only in the seed."""


def of_maps(results: pd.DataFrame) -> bool:
    """Return whether results are of maps between distributions."""
    return bool(results["task"].isin(MAP_TASKS).any())


def diverged(rows: pd.DataFrame) -> float:
    """Return the share of a method's seeds that failed or diverged; lower is better.

    A seed counts as diverged if it has no value and something failed, such as its training, or if
    its forward unexplained variance failed or is above `DIVERGED_UVP`. This threshold does not
    apply to references, which learn nothing. Seeds that were skipped, or stopped from outside
    (timeout, memory), are left out.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of the long table for one method on one data set.

    Returns
    -------
    float
        A share in [0, 1]; NaN if no seed ended.
    """
    ended = {s: own for s, own in rows.groupby("seed") if own["status"].isin(ENDED).any()}
    return sum(map(_is_off, ended.values())) / len(ended) if ended else math.nan


def lost(rows: pd.DataFrame) -> tuple[int, int]:
    """Return how many of a method's seeds collapsed or diverged, and of how many that ended.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of the long table: one method on one data set.
    """
    ended = rows[rows["status"].isin(ENDED)]
    gone = ended.loc[ended["status"].isin(LOST), "seed"].nunique()
    return gone, ended["seed"].nunique()


def _is_off(rows: pd.DataFrame) -> bool:
    """Return whether one seed diverged."""
    uvp = rows[rows["metric"] == UVP_METRIC]
    learned = uvp["reference"] != True  # noqa: E712 - missing is neither
    if (uvp["status"] == "failed").any() or (learned & (uvp["value"] > DIVERGED_UVP)).any():
        return True
    return not (rows["status"] == "ok").any()
