"""The detector of collapse: on trajectories, on sets of images, at the end of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from otbench.interface import ImagePair
from otbench.interface.artefacts import Translated
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import Budget, FitContext
from otbench.metrics.collapse import Collapse, collapse_in, narrow
from otbench.metrics.maps_training import TimeToUVP
from otbench.metrics.modes import Modes
from otbench.metrics.prdc import PRDC
from otbench.metrics.translation import PairwiseRatio
from otbench.metrics.translation_training import Collapsed
from otbench.scoring.curve import IMAGE_CHECKPOINTS, IMAGES, ImageCurve

Make = Callable[..., Translated]


def trajectory(
    coverage: list[float], pairwise: list[float] | None = None, modes: list[float] | None = None
) -> list[dict[str, Any]]:
    """Return points at steps 100, 200, ...; healthy where nothing is said."""
    columns = {"coverage": coverage, "pairwise": pairwise or [1.0] * len(coverage)}
    if modes is not None:
        columns["modes"] = modes
    return [
        {"step": 100 * k, "seconds": 1.0 * k, **dict(zip(columns, values, strict=True))}
        for k, values in enumerate(zip(*columns.values(), strict=True), 1)
    ]


RISING = [0.1, 0.3, 0.5, 0.6, 0.65, 0.7]


@pytest.mark.parametrize(
    ("points", "found"),
    [
        (trajectory([0.2, 0.6, 0.8, 0.3, 0.3, 0.3]), Collapse(500, "coverage")),
        # the maximum is the running one: 0.25 was no fall from 0.4, later it is
        (trajectory([0.4, 0.25, 0.3, 0.8, 0.25, 0.2]), Collapse(600, "coverage")),
        # early too, if it had learned something
        (trajectory([0.6, 0.1, 0.1, 0.7, 0.7, 0.7]), Collapse(300, "coverage")),
        (trajectory(RISING, [1, 1, 1, 0.9, 0.45, 0.9]), Collapse(500, "pairwise")),
        (trajectory(RISING, modes=[1, 1, 1, 1, 1, 0.4]), Collapse(600, "modes")),
        # it never was anything else than narrow: seen from the middle of the training on
        (trajectory([0.0] * 6, [0.1] * 6, [0.04] * 6), Collapse(300, "pairwise")),
        # one that comes back has collapsed all the same
        (trajectory([0.5, 0.8, 0.2, 0.2, 0.8, 0.8]), Collapse(400, "coverage")),
        (trajectory([0.9], [0.3]), Collapse(100, "pairwise")),
    ],
)
def test_collapses_are_seen_when_they_come(points: list[Any], found: Collapse) -> None:
    assert collapse_in(points) == found


@pytest.mark.parametrize(
    "points",
    [
        [],
        trajectory(RISING, [0.6, 0.7, 0.8, 0.9, 1, 1], [0.5, 0.7, 1, 1, 1, 1]),
        # a single bad evaluation, twice, but never in a row
        trajectory([0.5, 0.8, 0.2, 0.8, 0.2, 0.8]),
        # half and more is no collapse
        trajectory([0.4, 0.8, 0.4, 0.41, 0.4, 0.4], [0.5] * 6, [0.5] * 6),
        # a map that has not learned yet: narrow at first, little coverage that comes and goes
        trajectory([0.09, 0.01, 0.02, 0.3, 0.5, 0.6], [0.2, 0.4, 0.9, 1, 1, 1], [0.2] + [1] * 5),
        # points of maps with a known answer say nothing of collapse
        [{"step": k, "seconds": k, "uvp": 90.0} for k in range(1, 9)],
    ],
)
def test_what_is_no_collapse_does_not_fire(points: list[Any]) -> None:
    assert collapse_in(points) is None


def test_points_without_a_number_are_judged_by_the_others() -> None:
    points = trajectory([0.2, 0.8, 0.8, 0.1, 0.8, 0.1, 0.1])
    del points[4]["coverage"]
    # a gap neither ends nor counts as one of the two in a row
    assert collapse_in(points) == Collapse(600, "coverage")
    assert narrow({"pairwise": 0.4, "modes": 0.4}) == "pairwise"
    assert narrow({"pairwise": 0.6, "modes": 0.4}) == "modes"
    assert narrow({"step": 1}) is None


class Answers:
    """A map whose answers are given images, whatever it is asked."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.images[torch.arange(len(x)) % len(self.images)].flatten(1)


def followed(data: ImagePair, ctx: ScoreContext, steps: int = 1000) -> ImageCurve:
    return ImageCurve(data, ctx, steps, [])


@pytest.mark.parametrize(("steps", "every"), [(1000, 1), (1000, 30), (137, 10), (6, 1)])
def test_checkpoints_of_images_are_spread_evenly(
    steps: int, every: int, image_pair: ImagePair, pair_scoring: ScoreContext
) -> None:
    curve, at = followed(image_pair, pair_scoring, steps), []
    for step in range(every, steps + 1, every):
        if curve.due(step):
            curve._evaluated.append(step)
            at.append(step)
    assert len(at) == min(IMAGE_CHECKPOINTS, -(-steps // every)) - 1
    for number, step in enumerate(at, 1):
        assert 0 <= step - number * steps / min(IMAGE_CHECKPOINTS, steps) < every


def test_a_training_that_keeps_fewer_and_fewer_modes_is_followed_and_found(
    image_pair: ImagePair, pair_scoring: ScoreContext
) -> None:
    train = image_pair.target_images.train
    curve = followed(image_pair, pair_scoring)
    for tenth, kept in enumerate((4, 4, 4, 3, 2, 1, 1, 1, 1), 1):
        curve.evaluate(100 * tenth, 1.0 * tenth, Answers(train.images[train.labels < kept]))
    curve.finish(1000, 10.0, Answers(train.images[train.labels < 1]))
    points = curve.points
    assert [p["step"] for p in points] == list(range(100, 1001, 100))
    assert [p["modes"] for p in points] == [1, 1, 1, 0.75, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25]
    # the corners' shares of the test images are not quite a quarter
    assert points[0]["coverage"] > 0.85
    assert points[3]["coverage"] == pytest.approx(0.75 * points[0]["coverage"], abs=0.1)
    assert points[-1]["coverage"] == pytest.approx(0.25 * points[0]["coverage"], abs=0.1)
    assert points[0]["pairwise"] == pytest.approx(1, abs=0.05)
    # one corner of four: distances and modes tell at once, coverage one evaluation later
    assert collapse_in(points) == Collapse(600, "pairwise")
    for unknown, found in (("pairwise", (600, "modes")), ("modes", (700, "coverage"))):
        points = [{k: v for k, v in p.items() if k != unknown} for p in points]
        assert collapse_in(points) == Collapse(*found)


def test_a_single_answer_is_a_collapse_and_a_perfect_map_is_none(
    image_pair: ImagePair, pair_scoring: ScoreContext
) -> None:
    train = image_pair.target_images.train.images
    for images, found in ((train[:1], Collapse(500, "pairwise")), (train, None)):
        curve = followed(image_pair, pair_scoring)
        for step in range(100, 1000, 100):
            curve.evaluate(step, 1.0, Answers(images))
        curve.finish(1000, 2.0, Answers(images))
        assert collapse_in(curve.points) == found


def test_without_labels_a_curve_has_no_modes(
    bare_pair: ImagePair, pair_scoring: ScoreContext
) -> None:
    ctx = ScoreContext(torch.device("cpu"), 0, bare_pair)
    curve = followed(bare_pair, ctx)
    curve.evaluate(100, 1.0, Answers(bare_pair.target_images.train.images))
    assert curve.points[0].keys() == {"step", "seconds", "coverage", "pairwise"}
    assert len(curve._source) == min(IMAGES, len(bare_pair.source_images.test))


def test_images_off_the_range_leave_a_gap(
    image_pair: ImagePair, pair_scoring: ScoreContext
) -> None:
    curve = followed(image_pair, pair_scoring)
    curve.evaluate(100, 1.0, Answers(image_pair.target_images.train.images * 4 - 2))
    curve.evaluate(200, 2.0, Answers(image_pair.target_images.train.images))
    assert [point["step"] for point in curve.points] == [200]


def test_looking_costs_no_training_time(image_pair: ImagePair, pair_scoring: ScoreContext) -> None:
    curve = followed(image_pair, pair_scoring, steps=20)
    ctx = FitContext(Budget(steps=20), monitor=curve)
    for step in ctx.steps():
        ctx.checkpoint(step + 1, Answers(image_pair.target_images.train.images))
    assert len(curve.points) == 9
    assert ctx.seconds < 0.2


def test_the_metric_tells_whether_and_when(pair_scoring: ScoreContext, translated: Make) -> None:
    perfect, ctx = translated(), pair_scoring
    assert Collapsed().compute(perfect, ctx).value == 0
    with pytest.raises(Undefined, match="did not collapse"):
        Collapsed("step").compute(perfect, ctx)
    ctx.curve = trajectory([0.2, 0.8, 0.3, 0.3, 0.8, 0.8])
    assert Collapsed().compute(perfect, ctx).value == 1
    when = Collapsed("step").compute(perfect, ctx)
    assert (when.value, when.n) == (400, 7)
    assert (Collapsed().id, Collapsed("step").id) == ("collapse", "collapse[step]")
    assert (Collapsed().direction, Collapsed("step").direction) == ("lower", "neutral")


def test_the_final_map_is_judged_on_all_images(
    pair_scoring: ScoreContext, translated: Make
) -> None:
    ctx, train = pair_scoring, pair_scoring.data.target_images.train
    corner = train.images[train.labels == 3]
    generator = torch.Generator().manual_seed(0)
    # in glaring colours, so that the distances do not give it away
    glaring = (torch.rand(len(corner), 3, 1, 1, generator=generator) > 0.5).float()
    one_mode = translated((corner > 0) * (0.2 + 0.8 * glaring))
    assert PairwiseRatio().compute(one_mode, ctx).value > 0.5
    assert Modes().compute(one_mode, ctx).value == 0.25
    assert Collapsed().compute(one_mode, ctx).value == 1
    with pytest.raises(Undefined, match=r"at its end \(modes\), but was not evaluated before"):
        Collapsed("step").compute(one_mode, ctx)
    ctx.curve = trajectory([0.7] * 5)
    assert Collapsed("step").compute(one_mode, ctx).value == 500
    one_image = translated(train.images[:1].expand(100, -1, -1, -1))
    assert Collapsed().compute(one_image, ctx).value == 1
    # three of four modes are poor, and no collapse
    three = translated(train.images[train.labels > 0][:100])
    assert Collapsed().compute(three, ctx).value == 0
    assert PRDC().compute(three, ctx).value < 0.85


def test_without_labels_the_distances_judge(
    bare_pair: ImagePair, pair_scoring: ScoreContext
) -> None:
    ctx = ScoreContext(torch.device("cpu"), 0, bare_pair)
    source, target = bare_pair.source_images.test.images, bare_pair.target_images
    for generated, found in ((target.train.images[:160], 0.0), (target.train.images[:1], 1.0)):
        carried = generated.expand(160, -1, -1, -1)
        artefact = Translated(
            target.test.images, carried, False, source=source, again=source, excess=0.0
        )
        assert Collapsed().compute(artefact, ctx).value == found


def test_times_to_an_error_pass_over_points_of_images(pair_scoring: ScoreContext) -> None:
    pair_scoring.curve = trajectory([0.5, 0.6])
    with pytest.raises(Undefined, match=r"does not call ctx\.checkpoint"):
        TimeToUVP().compute(None, pair_scoring)  # type: ignore[arg-type]
    pair_scoring.curve.append({"step": 300, "seconds": 3.0, "uvp": 2.0})
    value = TimeToUVP().compute(None, pair_scoring)  # type: ignore[arg-type]
    assert (value.value, value.n) == (3, 1)
