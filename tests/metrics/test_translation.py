"""Modes, colours, distances and ranges of carried images, each against a known answer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist
from scipy.stats import entropy
from sklearn.linear_model import LinearRegression
from torch import Tensor

from otbench.interface import ImageDataset, ImagePair, Split
from otbench.interface.artefacts import Translated
from otbench.interface.metric import Metric, Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.colour import ColourR2, explained
from otbench.metrics.domain import DomainClassifier, DomainNet
from otbench.metrics.domain_fd import DomainFD
from otbench.metrics.frechet import FID
from otbench.metrics.modes import Modes, divergence, share_reached
from otbench.metrics.prdc import PRDC
from otbench.metrics.translation import (
    Diversity,
    PairwiseRatio,
    RangeExcess,
    TranslationCost,
    gelbrich_bound,
    pairwise_ratio,
    plan_cost,
)
from otbench.metrics.translation_training import Collapsed

Make = Callable[..., Translated]
CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def dataset(test: Tensor) -> ImageDataset:
    split = Split(test)
    return ImageDataset("noise", "tiny", split, split, split, sha256="2" * 64)


def scene(x: Tensor, y: Tensor, masks: Tensor | None = None) -> tuple[Translated, ScoreContext]:
    """Return an artefact that carries x to y, with a context."""
    pair = ImagePair("noise", "tiny", dataset(x), dataset(y), masks)
    artefact = Translated(y, y, False, source=x, again=y, excess=0.0, masks=masks)
    return artefact, ScoreContext(CPU, 0, pair)


def test_a_mode_is_reached_with_a_fifth_of_its_share() -> None:
    target = torch.tensor([50, 30, 20, 0])
    for carried, share in (
        ((50, 30, 20, 0), 1),
        ((100, 0, 0, 0), 1 / 3),
        ((900, 60, 40, 0), 1),  # 6 % of 30 % and 4 % of 20 %: exactly a fifth
        ((900, 61, 39, 0), 2 / 3),
        ((0, 0, 0, 100), 0),
        ((5, 3, 2, 90), 0),
    ):
        assert share_reached(torch.tensor(carried), target) == pytest.approx(share)
    with pytest.raises(Undefined, match="all of one mode"):
        share_reached(target, torch.tensor([7, 0, 0, 0]))


def test_the_divergence_is_scipys_of_the_smoothed_shares() -> None:
    carried, target = torch.tensor([8, 2, 0]), torch.tensor([10, 20, 10])
    due = entropy(np.array([8.5, 2.5, 0.5]), np.array([10.5, 20.5, 10.5]))
    assert divergence(carried, target) == pytest.approx(due)
    assert divergence(target, target) == pytest.approx(0, abs=1e-12)
    # all in one of m equal modes comes near log m
    single = torch.tensor([100_000, 0, 0, 0])
    assert divergence(single, torch.full((4,), 25_000)) == pytest.approx(math.log(4), rel=1e-3)


def test_modes_are_counted_among_the_carried_images(
    pair_scoring: ScoreContext, translated: Make
) -> None:
    train, test = pair_scoring.data.target_images.train, pair_scoring.data.target_images.test
    assert Modes().compute(translated(), pair_scoring).value == 1
    assert Modes("kl").compute(translated(), pair_scoring).value < 0.05
    for kept in (1, 2, 3):
        some = translated(train.images[train.labels < kept][:60])
        assert Modes().compute(some, pair_scoring).value == kept / 4
        kl = Modes("kl").compute(some, pair_scoring)
        # log(1 / p) for the share p of the modes that are kept, which are not quite equal
        due = -math.log((test.labels < kept).double().mean())
        assert kl.value == pytest.approx(due, abs=0.16)
        assert kl.n == len(some.generated)
    # Copies of the source show all modes, and are no images of the target.
    copies = translated(translated().source)
    assert Modes().compute(copies, pair_scoring).value == 0
    assert Modes("kl").compute(copies, pair_scoring).value > 3
    assert (Modes().id, Modes("kl").id) == ("modes[reached,share=0.2]", "modes[kl]")
    assert (Modes().direction, Modes("kl").direction) == ("higher", "lower")


def test_without_labels_or_a_good_classifier_there_are_no_modes(
    bare_pair: ImagePair, pair_scoring: ScoreContext, translated: Make
) -> None:
    assert Modes().missing(bare_pair) == ("needs labels on both sides: discs-to-squares has none")
    assert Modes().missing(pair_scoring.data) is None
    poor = DomainClassifier(DomainNet((3, 16, 16), 4), 1.0, 0.7)
    pair_scoring.once("domain-classifier", lambda: poor, of=pair_scoring.data)
    with pytest.raises(Undefined, match="recognises the target's modes in only 70% of images"):
        Modes().compute(translated(), pair_scoring)


def test_the_ratio_of_distances_is_scipys() -> None:
    real, made = noise(30, 3, 8, 8), 0.3 * noise(20, 3, 8, 8, seed=1)
    flat = [x.flatten(1).double().numpy() for x in (made, real)]
    assert pairwise_ratio(made, real) == pytest.approx(
        pdist(flat[0]).mean() / pdist(flat[1]).mean()
    )
    artefact, ctx = scene(made, 0.4 * made + 0.3)
    artefact = dataclasses.replace(artefact, real=made)
    assert PairwiseRatio().compute(artefact, ctx).value == pytest.approx(0.4)
    with pytest.raises(Undefined, match="single image"):
        pairwise_ratio(made[:1], real)


def test_colours_that_are_mixed_linearly_are_explained_wholly() -> None:
    x = noise(40, 3, 8, 8) * noise(40, 3, 1, 1, seed=1)
    masks = torch.zeros(40, 8, 8)
    masks[:, 2:6, 3:7] = noise(40, 4, 4, seed=2)
    mix = torch.tensor([[0.5, 0.2, 0.0], [0.1, 0.6, 0.1], [0.0, 0.3, 0.4]])
    y = torch.einsum("oc,nchw->nohw", mix, x) + 0.1
    # what lies outside the mask does not count
    y[:, :, 7] = noise(40, 3, 8, seed=3)
    artefact, ctx = scene(x, y, masks)
    value = ColourR2().compute(artefact, ctx)
    assert value.value == pytest.approx(1, abs=1e-9)
    assert value.n == 40
    assert ColourR2().compute(*scene(x, y)).value < 0.999


def test_colours_of_another_image_are_not_explained() -> None:
    x = noise(1000, 3, 4, 4) * noise(1000, 3, 1, 1, seed=1)
    artefact, ctx = scene(x, x.roll(1, 0))
    # in-sample, three useless regressors explain 3 / (n - 1) in the mean
    assert ColourR2().compute(artefact, ctx).value == pytest.approx(3 / 999, abs=0.006)
    # half of the variance kept: y = x + an independent colour of the same law, halved
    half = (x + x.roll(1, 0)) / 2
    artefact, ctx = scene(x, half, torch.ones(1000, 4, 4))
    assert ColourR2().compute(artefact, ctx).value == pytest.approx(0.5, abs=0.05)


def test_the_share_explained_is_sklearns() -> None:
    x, y = noise(50, 3).numpy(), noise(50, 3, seed=4).numpy()
    y[:, 0] += 2 * x[:, 1]
    due = LinearRegression().fit(x, y)
    error = ((y - due.predict(x)) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()
    assert explained(x, y) == pytest.approx(1 - error)


def test_brightness_stands_in_for_masks_and_dark_images_are_left_out() -> None:
    colour = noise(30, 3, 1, 1)
    x = colour * (torch.arange(64.0).view(8, 8) < 9)
    y = colour * (torch.arange(64.0).view(8, 8) >= 50)
    x[4] = 0
    value = ColourR2().compute(*scene(x, y))
    assert value.value == pytest.approx(1)
    assert value.n == 29
    with pytest.raises(Undefined, match="the same mean colour"):
        ColourR2().compute(*scene(x, torch.full_like(y, 0.5)))
    with pytest.raises(Undefined, match="needs 10 images with a colour, got 0"):
        ColourR2().compute(*scene(x, torch.zeros_like(y)))
    with pytest.raises(ValueError, match=r"colour_masks .* do not fit"):
        ColourR2().compute(*scene(x, y, torch.ones(3, 8, 8)))


def test_gray_images_have_no_colour(image_pair: ImagePair, bare_pair: ImagePair) -> None:
    assert ColourR2().missing(image_pair) is None
    assert ColourR2().missing(bare_pair) == "images of 1 channel(s) have no colour"


def test_the_plan_costs_what_the_best_assignment_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    x, y = noise(220, 1, 4, 4), noise(220, 1, 4, 4, seed=1) ** 2
    costs = cdist(x.flatten(1).double(), y.flatten(1).double(), "sqeuclidean") / 16
    rows, columns = linear_sum_assignment(costs)
    due = costs[rows, columns].mean()
    assert plan_cost(x, y) == pytest.approx(due)
    assert len(list((tmp_path / "weak-plans").iterdir())) == 1
    assert plan_cost(x, y) == pytest.approx(due)
    artefact, ctx = scene(x, y[torch.from_numpy(columns)])
    ratio, mean = (TranslationCost(of).compute(artefact, ctx) for of in ("ratio", "mean"))  # type: ignore[arg-type]
    assert ratio.value == pytest.approx(1)
    assert mean.value == pytest.approx(due)
    assert ratio.stderr == pytest.approx(mean.stderr / due)  # type: ignore[operator]
    ids = [TranslationCost(of).id for of in ("ratio", "bound", "mean")]  # type: ignore[arg-type]
    assert ids == [f"translation_cost[{of}]" for of in ("ratio,n=1000", "bound,n=2000", "mean")]


def test_the_affine_map_costs_the_bound_and_what_undershoots_costs_less() -> None:
    x = 0.2 + 0.3 * noise(400, 1, 4, 4)
    stretch = torch.diag(0.5 + noise(16, seed=1)).double()
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(2))).Q
    matrix = (turn.double() @ stretch @ turn.double().T).float()
    flat = x.flatten(1)
    # A positive definite affine map is optimal (Gelbrich 1990, theorem 2.1): the bound is its cost.
    y = (0.4 + (flat - flat.mean(0)) @ matrix).view_as(x)
    artefact, ctx = scene(x, y)
    assert TranslationCost("bound").compute(artefact, ctx).value == pytest.approx(1, rel=1e-3)
    assert TranslationCost().compute(artefact, ctx).value == pytest.approx(1, rel=1e-3)
    halfway = dataclasses.replace(artefact, generated=(x + y) / 2)
    assert TranslationCost("bound").compute(halfway, ctx).value == pytest.approx(1 / 4, rel=1e-3)
    # A plan of images of another shape costs more than their moments show.
    squared = noise(400, 1, 4, 4, seed=3) ** 4
    artefact, ctx = scene(x, squared)
    assert gelbrich_bound(x, squared) < plan_cost(x, squared)


def test_a_map_that_stays_behind_costs_less_than_the_plan() -> None:
    x, y = noise(60, 1, 4, 4), 0.5 * noise(60, 1, 4, 4, seed=1)
    artefact, ctx = scene(x, y)
    lazy = dataclasses.replace(artefact, generated=x)
    assert TranslationCost().compute(lazy, ctx).value == 0
    apart = dataclasses.replace(artefact, generated=y.flip(0))
    assert TranslationCost().compute(apart, ctx).value > 1
    with pytest.raises(Undefined, match="same images"):
        TranslationCost().compute(*scene(x, x))


def test_the_plan_takes_as_many_of_either_side() -> None:
    x, y = noise(30, 1, 4, 4), noise(20, 1, 4, 4, seed=1)
    artefact, ctx = scene(x, y)
    value = TranslationCost().compute(dataclasses.replace(artefact, generated=x), ctx)
    assert value.n == 20


def test_diversity_is_the_share_of_the_variance_in_the_draws() -> None:
    real = noise(4000, 1, 4, 4)
    artefact, ctx = scene(real, real)
    draws = 0.25 + 0.5 * noise(64, 8, 1, 4, 4, seed=1)
    value = Diversity().compute(dataclasses.replace(artefact, samples=draws), ctx)
    assert value.value == pytest.approx(0.25, rel=0.05)
    assert value.n == 64
    still = draws[:, :1].expand(-1, 8, -1, -1, -1)
    silent = Diversity().compute(dataclasses.replace(artefact, samples=still), ctx)
    assert silent.value == pytest.approx(0, abs=1e-12)
    # A deterministic map spreads an image over nothing.
    assert Diversity().compute(artefact, ctx).value == 0


def test_the_excess_is_that_of_the_task() -> None:
    artefact, ctx = scene(noise(4, 1, 4, 4), noise(4, 1, 4, 4, seed=1))
    assert RangeExcess().compute(dataclasses.replace(artefact, excess=0.03), ctx).value == 0.03


ALL: list[Metric] = [
    *(DomainFD(), DomainFD("floor"), DomainFD("identity"), PRDC(), Modes(), Modes("kl")),
    *(PairwiseRatio(), ColourR2(), TranslationCost(), TranslationCost("mean"), Diversity()),
    *(RangeExcess(), Collapsed(), Collapsed("step"), TranslationCost("bound")),
]


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.id)
@pytest.mark.parametrize("stack", ["real", "generated", "source", "again", "samples"])
def test_images_on_another_range_are_refused_everywhere(
    metric: Metric, stack: str, pair_scoring: ScoreContext, translated: Make
) -> None:
    samples = noise(4, 2, 3, 16, 16)
    fine = translated(samples=samples)
    wrong = dataclasses.replace(fine, **{stack: 2 * getattr(fine, stack) - 1})
    message = rf"stack of images '{stack}' has values from -.* wanted \[0, 1\]; .* \(x \+ 1\) / 2"
    with pytest.raises(ValueError, match=message):
        metric.compute(wrong, pair_scoring)


def test_so_does_the_distance_of_other_features() -> None:
    images = noise(8, 3, 32, 32)
    artefact, ctx = scene(images, images)
    with pytest.raises(ValueError, match=r"rescale images on \[-1, 1\]"):
        FID().compute(dataclasses.replace(artefact, generated=2 * images - 1), ctx)


def test_carried_images_belong_to_the_sources_row_by_row(
    pair_scoring: ScoreContext, translated: Make
) -> None:
    short = dataclasses.replace(translated(), source=translated().source[:5])
    with pytest.raises(ValueError, match="differ in shape"):
        PairwiseRatio().compute(short, pair_scoring)
