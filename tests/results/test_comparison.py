"""Paired comparisons against scipy, simulated coverage, and hand-counted cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from otbench.results.comparison import compare, holm, paired, seeds_needed

A, B = [0.50, 0.61, 0.55, 0.48, 0.52], [0.58, 0.66, 0.63, 0.50, 0.61]


def test_the_interval_and_p_are_those_of_scipy():
    got = paired(A, B, "higher")
    wanted = stats.ttest_rel(B, A)
    low, high = wanted.confidence_interval(0.95)
    assert got.p == pytest.approx(wanted.pvalue)
    assert (got.low, got.high) == pytest.approx((low, high))
    assert got.difference == pytest.approx(np.mean(B) - np.mean(A))
    assert got.effect == pytest.approx(wanted.statistic / math.sqrt(5))


def test_the_probability_of_improvement_is_that_of_the_mann_whitney_statistic():
    u = stats.mannwhitneyu(B, A).statistic
    assert paired(A, B, "higher").improvement == pytest.approx(u / 25)
    assert paired(A, B, "lower").improvement == pytest.approx(1 - u / 25)
    assert math.isnan(paired(A, B).improvement)
    assert paired([1.0, 1.0], [1.0, 1.0], "higher").improvement == 0.5


def test_one_pair_says_nothing_about_certainty():
    got = paired([1.0], [2.0], "higher")
    assert got.difference == 1
    assert math.isnan(got.p)
    assert math.isnan(got.low)
    assert got.seeds_needed is None


def test_equal_differences_are_certain_and_no_difference_is_none():
    assert paired([1.0, 2.0], [2.0, 3.0]).p == 0
    assert paired([1.0, 2.0], [1.0, 2.0]).p == 1
    assert paired([1.0, 2.0], [1.0, 2.0]).effect == 0


def test_pairs_are_needed():
    with pytest.raises(ValueError, match="pairs"):
        paired([1.0], [1.0, 2.0])


@pytest.mark.parametrize("n", [3, 5])
def test_intervals_of_few_seeds_cover_what_they_say(n: int):
    generator = np.random.default_rng(0)
    truth, repetitions = 0.3, 800
    hits = 0
    for _ in range(repetitions):
        shared = generator.normal(size=n)
        got = paired(shared, shared + truth + 0.2 * generator.normal(size=n))
        hits += got.low <= truth <= got.high
    # Three standard errors of the share.
    assert abs(hits / repetitions - 0.95) < 3 * math.sqrt(0.95 * 0.05 / repetitions)


def test_so_many_seeds_do_tell_the_effect_as_often_as_asked():
    n = seeds_needed(1.0)
    assert n == 10  # tables of the power of the paired t-test
    generator = np.random.default_rng(0)
    told = np.mean(
        [stats.ttest_1samp(generator.normal(1, 1, n), 0).pvalue < 0.05 for _ in range(2000)]
    )
    assert told > 0.77
    assert seeds_needed(0.0) is None
    assert seeds_needed(math.inf) == 2


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    adjusted = holm([0.5, math.nan, 0.02])
    assert adjusted[0] == pytest.approx(0.5)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)


COMMON = {
    "dataset": "d", "variant": "v", "preset": "quick", "track": "matched", "score_sha256": "s",
    "data_sha256": "x", "task": "clustering", "status": "ok",
}  # fmt: skip


def rows(method: str, values: list[float], metric: str = "acc[k=1]", **more: Any) -> pd.DataFrame:
    known = COMMON | {"method": method, "metric": metric, "direction": "higher"} | more
    return pd.DataFrame([known | {"seed": s, "value": v} for s, v in enumerate(values)])


def test_a_clear_difference_is_told_and_a_small_one_is_not():
    table = compare(
        pd.concat([rows("a", A), rows("a", A, "noise")]),
        pd.concat([rows("b", B), rows("b", A[::-1], "noise")]),
    ).set_index("metric")
    assert table.loc["acc[k=1]", "verdict"] == "better"
    assert table.loc["noise", "verdict"] == "not distinguishable"
    assert table.loc["acc[k=1]", "p_holm"] == pytest.approx(2 * paired(A, B).p)


@pytest.mark.parametrize(
    ("direction", "verdict"), [("higher", "better"), ("lower", "worse"), ("neutral", "different")]
)
def test_the_direction_decides_what_is_better(direction: str, verdict: str):
    table = compare(rows("a", A, direction=direction), rows("b", B, direction=direction))
    assert table["verdict"].tolist() == [verdict]


def test_only_seeds_that_both_have_are_paired():
    table = compare(rows("a", A), rows("b", B[:3]))
    assert table["pairs"].tolist() == [3]


def test_a_failed_seed_is_no_pair():
    broken = rows("b", B)
    broken.loc[4, ["status", "value"]] = ["failed", math.nan]
    assert compare(rows("a", A), broken)["pairs"].tolist() == [4]


def test_other_data_under_the_same_name_is_not_paired():
    assert compare(rows("a", A), rows("b", B, data_sha256="y")).empty


def test_metrics_are_chosen_by_id_or_by_name():
    left = pd.concat([rows("a", A), rows("a", A, "mse")])
    right = pd.concat([rows("b", B), rows("b", B, "mse")])
    assert compare(left, right, ["acc"])["metric"].tolist() == ["acc[k=1]"]
    assert compare(left, right, ["mse"])["metric"].tolist() == ["mse"]


def test_folders_are_compared_method_by_method():
    left = pd.concat([rows("a", A), rows("b", A)])
    right = pd.concat([rows("a", A), rows("b", B)])
    table = compare(left, right, by_method=True).set_index("method")
    assert table["verdict"].to_dict() == {"a": "not distinguishable", "b": "better"}
