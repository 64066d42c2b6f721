"""Precision, recall, density, coverage: by hand, by their expectations, and under collapse."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from otbench.interface.artefacts import Translated
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.prdc import PRDC, coverage, distances, neighbour_scores, radii

Make = Callable[..., Translated]


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def line(*points: float) -> Tensor:
    return torch.tensor(points).view(-1, 1)


def test_a_small_line_by_hand() -> None:
    real = line(0, 1, 2, 3, 4, 10)
    made = line(0.5, 1.5, 2.5, 3.5, 20, 21)
    # three neighbours: real 0 to 4 reach 3 2 2 2 3, and 10 reaches 8
    assert radii(distances(real, real), 3).tolist() == [3, 2, 2, 2, 3, 8]
    # five: 10 9 8 7 6 10. All but none of 20 (in the closed ball of 10) and 21 lie in one
    assert radii(distances(real, real), 5).tolist() == [10, 9, 8, 7, 6, 10]
    # made: 0.5 to 3.5 reach 3 2 2 3, then 17.5 and 18.5: 20 reaches back to 2.5
    scores = neighbour_scores(real, made)
    assert scores["precision"] == pytest.approx(4 / 6)
    assert scores["recall"] == 1.0
    # 0.5 to 3.5 lie in all six balls but 0.5 in that of 10 (9.5 < 10, so in it too); 20 in one
    assert scores["density"] == pytest.approx((4 * 6 + 1 + 0) / (5 * 6))
    assert scores["coverage"] == 1.0


def by_sklearn(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Return the four scores through another library's search for neighbours."""

    def reach(x: np.ndarray, k: int) -> np.ndarray:
        return NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]

    apart = np.sqrt(((real[:, None] - made[None]) ** 2).sum(2))
    wide = apart <= reach(real, 5)[:, None]
    near = np.zeros_like(wide)
    for column, rows in enumerate(NearestNeighbors(n_neighbors=20).fit(real).kneighbors(made)[1]):
        near[rows, column] = True
    return {
        "precision": (apart <= reach(real, 3)[:, None]).any(0).mean(),
        "recall": (apart <= reach(made, 3)[None]).any(1).mean(),
        "density": wide.sum() / (5 * len(made)),
        "coverage": (wide & near).any(1).mean(),
    }


def test_the_scores_are_those_of_another_librarys_neighbours() -> None:
    real, made = normal(80, 5, 0).double(), 0.7 * normal(80, 5, 1).double() + 0.4
    scores = neighbour_scores(real, made)
    assert scores == pytest.approx(by_sklearn(real.numpy(), made.numpy()))
    assert scores["coverage"] == coverage(real, made)
    assert 0.05 < scores["recall"] < scores["precision"] < 1


def test_two_samples_of_one_law_come_to_the_expectations() -> None:
    """Naeem et al. 2020, section 3.3: density 1, coverage 1 - prod (n - i) / (2n - i)."""
    n, k, draws = 100, 5, 40
    scores = [neighbour_scores(normal(n, 3, s), normal(n, 3, 1000 + s)) for s in range(draws)]
    due = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    assert np.mean([s["density"] for s in scores]) == pytest.approx(1, abs=0.02)
    assert np.mean([s["coverage"] for s in scores]) == pytest.approx(due, abs=0.005)
    assert due == pytest.approx(0.97, abs=0.005)
    same = normal(n, 3, 0)
    once = neighbour_scores(same, same.clone())
    assert (once["precision"], once["recall"], once["coverage"]) == (1, 1, 1)
    assert once["density"] == pytest.approx((k + 1) / k)


@pytest.mark.parametrize("dimension", [64, 256])
def test_a_collapse_to_the_centre_covers_little_in_many_dimensions(dimension: int) -> None:
    """By the definition of Naeem et al. the centre lies in every ball, and coverage is 1."""
    n = 500
    real, truth = normal(n, dimension, 0), normal(n, dimension, 1)
    centre = torch.zeros(n, dimension)
    assert (distances(real, centre) <= radii(distances(real, real), 5)[:, None]).any(1).all()
    for collapsed in (centre, 0.05 * normal(n, dimension, 2), truth[:1].expand(n, -1)):
        assert coverage(real, collapsed) < 0.15
    assert coverage(real, truth) > 0.75
    # Eight of the images, each repeated, cover no more than the bound says.
    assert coverage(real, truth[:8].repeat_interleave(n // 8, 0)[:n]) <= 8 * 20 / n


@pytest.mark.parametrize("kept", [1, 2, 4, 8])
def test_recall_and_coverage_fall_as_the_modes_that_are_kept(kept: int) -> None:
    modes, each = 8, 40
    centres = 100 * torch.eye(modes, 2) + 50 * torch.arange(modes).view(-1, 1)
    real = centres.repeat_interleave(each, 0) + normal(modes * each, 2, 0)
    few = centres[:kept].repeat_interleave(each * modes // kept, 0)
    scores = neighbour_scores(real, few + normal(modes * each, 2, 1))
    assert scores["coverage"] == pytest.approx(kept / modes, abs=0.05)
    # balls of k = 3 among 40 points leave some of the plane out
    assert 0.75 * kept / modes < scores["recall"] <= kept / modes
    # what is left looks like the target all the same
    assert scores["precision"] > 0.85
    assert scores["density"] == pytest.approx(1, abs=0.2)


def test_far_outliers_of_the_method_do_not_cover_the_target() -> None:
    real, made = normal(60, 4, 0), torch.zeros(60, 4)
    made[:4] = 50 * torch.eye(4)
    # four outliers and a crowd: recall's balls around the outliers hold nearly the whole target
    assert neighbour_scores(real, made)["recall"] > 0.9
    assert neighbour_scores(real, made)["coverage"] < 0.5


def test_equal_points_are_neighbours_at_no_distance() -> None:
    constant = torch.full((10, 3), 0.1)
    assert radii(distances(constant, constant), 5).tolist() == [0] * 10
    assert neighbour_scores(constant, constant.clone())["coverage"] == 1
    assert neighbour_scores(constant, constant + 1e-4)["coverage"] == 0


def test_too_few_and_unequal_numbers_are_refused() -> None:
    with pytest.raises(Undefined, match="5-th neighbour needs more than 5 images, got 5"):
        neighbour_scores(normal(5, 2, 0), normal(5, 2, 1))
    with pytest.raises(ValueError, match="both sides need equally many items, got 9 and 8"):
        neighbour_scores(normal(9, 2, 0), normal(8, 2, 1))


def test_the_metric_sees_a_collapse_of_images(pair_scoring: ScoreContext, translated: Make) -> None:
    perfect = translated()
    train = pair_scoring.data.target_images.train
    one = train.images[train.labels == 2]
    collapsed = translated(one[torch.arange(len(perfect.generated)) % len(one)])
    scores = {
        name: [
            PRDC(name).compute(artefact, pair_scoring).value  # type: ignore[arg-type]
            for artefact in (perfect, collapsed)
        ]
        for name in ("precision", "recall", "density", "coverage")
    }
    assert scores["coverage"][0] > 0.85
    assert scores["recall"][0] > 0.8
    for name in ("recall", "coverage"):
        assert scores[name][1] == pytest.approx(1 / 4, abs=0.12)
    assert min(*scores["precision"], *scores["density"]) > 0.7


def test_both_sides_give_as_many_images(pair_scoring: ScoreContext, translated: Make) -> None:
    few = translated(translated().generated[:50])
    assert PRDC().compute(few, pair_scoring).n == 50
    fewer = dataclasses.replace(few, real=few.real[:20])
    assert PRDC("recall").compute(fewer, pair_scoring).n == 20
    assert [PRDC(of).id for of in ("precision", "coverage")] == ["precision[k=3]", "coverage[k=5]"]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="precision, recall, density, coverage"):
        PRDC("f1")  # type: ignore[arg-type]
