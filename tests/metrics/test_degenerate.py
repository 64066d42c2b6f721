"""Outputs that no one wants, beside the truth: none may win a metric that has a direction.

Each metric is handed the truth and each degenerate output, and the truth must be better, or, for
the outputs that the metric says it is blind to, at least as good. Nothing may drop out of the
ranking as undefined.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from otbench.interface import CircularFamily, ImageDataset, Split
from otbench.interface.artefacts import (
    PATH_TASKS,
    ComparedImages,
    KnownPaths,
    Paths,
    Translated,
    WalledPaths,
)
from otbench.interface.metric import Degenerate, Metric
from otbench.interface.scoring import ScoreContext
from otbench.metrics.frechet import FID
from otbench.metrics.mass import area_agreement, centroid_distances, squared_w2
from otbench.metrics.smoothness import AdjacentSSIM, MaxStep
from otbench.metrics.transport import MassDrift, MassLeak, PathEnergy
from otbench.plugins.registry import Registry

SIDE, FRAMES = 32, 11
TIMES = torch.linspace(0, 1, FRAMES)
GIVEN = {"kid": {"features": "lenet"}}
"""Parameters without which a metric needs weights that no test has."""

Outputs = dict[str, Tensor]


def metrics() -> Iterator[Metric]:
    """Yield every metric that is registered, with every combination of its choices."""
    for name in sorted(Registry("metrics").names()):
        cls = Registry("metrics").get(name).load()
        hints = get_type_hints(cls)
        choices = {
            field.name: get_args(hints[field.name])
            for field in dataclasses.fields(cls)
            if get_origin(hints[field.name]) is Literal
        }
        for values in itertools.product(*choices.values()):
            yield cls(**dict(zip(choices, values, strict=True)), **GIVEN.get(name, {}))


def directed(*tasks: str) -> list[Any]:
    """Return the metrics with a direction on some of the tasks, each with the task."""
    return [
        pytest.param(metric, task, id=f"{task}/{metric.id}")
        for metric in metrics()
        for task in tasks
        if task in metric.tasks and metric.direction_on(task) != "neutral"
    ]


def blurred(images: Tensor, width: float = 2.0) -> Tensor:
    sigma = (0,) * (images.dim() - 2) + (width, width)
    return torch.from_numpy(gaussian_filter(images.numpy(), sigma)).clamp(0, 1)


def one_bad(images: Tensor) -> Tensor:
    """Blank every eighth item."""
    images = images.clone()
    images[::8] = 0
    return images


def disc(row: float, column: float, radius: float = 4.0) -> Tensor:
    """Draw a disc with a soft rim, one pixel wide."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (radius + 0.5 - ((y - row) ** 2 + (x - column) ** 2).sqrt()).clamp(0, 1)


def degenerate_paths(truth: Tensor) -> Outputs:
    """Return what a method may draw in place of the true paths (n, k, c, h, w)."""
    time = TIMES.view(1, -1, 1, 1, 1)
    first, last = truth[:, :1], truth[:, -1:]
    late = TIMES.view(1, -1, 1, 1, 1) >= 0.5
    return {
        "blank": torch.zeros_like(truth),
        "grey": truth.mean((2, 3, 4), keepdim=True).expand_as(truth),
        "blurred": blurred(truth),
        "frozen": first.expand_as(truth),
        "cross-faded": (1 - time) * first + time * last,
        "teleporting": torch.where(late, last, first),
        "one bad of eight": one_bad(truth),
    }


def straight() -> KnownPaths:
    """Return eight discs that move straight by whole pixels, in all directions."""
    steps = [(0, 1), (0, 2), (1, 1), (1, -1), (2, 0), (-1, 2), (1, 2), (-2, 1)]
    truth = torch.stack(
        [
            torch.stack(
                [disc(15.5 + (k - 5) * down, 15.5 + (k - 5) * right) for k in range(FRAMES)]
            )
            for down, right in steps
        ]
    ).unsqueeze(2)
    x0, x1 = truth[:, 0], truth[:, -1]
    middle = ComparedImages(torch.cat([x0, x1]), truth[:, 5], paired=False)
    return KnownPaths(x0, x1, truth, TIMES, middle, exact=truth.double())


def around_a_wall() -> WalledPaths:
    """Return eight discs that go around the end of a wall, each on the shortest way."""
    walls = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    walls[:12, 15:17] = True
    paths = []
    for start in range(5, 13):
        corners = torch.tensor([[start, 8.0], [15.0, 15.5], [start, 23.0]])
        legs = corners.diff(dim=0).norm(dim=1)
        along = TIMES * legs.sum()
        second = along > legs[0]
        share = torch.where(second, (along - legs[0]) / legs[1], along / legs[0]).unsqueeze(1)
        leg = second.long()
        places = corners[leg] * (1 - share) + corners[leg + 1] * share
        paths.append(torch.stack([disc(*place, radius=3.0) for place in places.tolist()]))
    truth = torch.stack(paths).unsqueeze(2).masked_fill(walls, 0)
    return WalledPaths(truth[:, 0], truth[:, -1], truth, TIMES, drawn=truth, obstacles=walls)


def on_a_circle() -> tuple[Paths, CircularFamily]:
    """Return eight discs that turn evenly, the shorter way, and the circle they turn on."""
    angles = torch.arange(360) * math.pi / 180

    def image(angle: float) -> Tensor:
        return disc(15.5 + 9 * math.sin(angle), 15.5 + 9 * math.cos(angle)).unsqueeze(0)

    family = CircularFamily(torch.stack([image(a) for a in angles.tolist()]), angles)
    turns = torch.stack([torch.arange(FRAMES) * 10 + 45 * i for i in range(8)]) % 360
    truth = family.images[turns]
    return Paths(truth[:, 0], truth[:, -1], truth, TIMES), family


def scored(metric: Metric, task: str, make: Callable[[Tensor], Any], ctx: ScoreContext) -> Any:
    """Return the function from an output to how good it is; higher is better."""
    sign = {"higher": 1, "lower": -1}[metric.direction_on(task)]

    def good(output: Tensor) -> float:
        value = metric.compute(make(output), dataclasses.replace(ctx, _memory={})).value
        assert math.isfinite(value)
        return sign * value

    return good


def truth_wins(
    metric: Metric, good: Callable[[Tensor], float], truth: Tensor, others: Outputs
) -> None:
    best = good(truth)
    assert set(metric.blind_to) <= set(get_args(Degenerate))
    for name, output in others.items():
        rival = good(output)
        if name in metric.blind_to:
            assert best >= rival - 1e-6, f"{name} wins: {rival} to {best}"
        else:
            assert best > rival + 1e-3 * abs(best), f"{name}: {rival} to {best}"


def images_of(artefact: Paths) -> ImageDataset:
    split = Split(torch.cat([artefact.x0, artefact.x1]))
    return ImageDataset("discs", "drawn", split, split, split, sha256="0" * 64)


@pytest.mark.parametrize(("metric", "task"), directed(*PATH_TASKS))
@pytest.mark.usefixtures("lpips_weights")
def test_the_true_path_wins(metric: Metric, task: str) -> None:
    artefact: Paths = around_a_wall() if task == "obstacles" else straight()
    data = images_of(artefact)
    if metric.id.startswith("line_"):
        artefact, family = on_a_circle()
        data = dataclasses.replace(data, family=family)
    if isinstance(artefact, WalledPaths):
        data = dataclasses.replace(data, obstacles=artefact.obstacles)

    def make(frames: Tensor) -> Paths:
        if isinstance(artefact, WalledPaths):
            masked = frames.masked_fill(artefact.obstacles, 0)
            return dataclasses.replace(artefact, frames=masked, drawn=frames)
        return dataclasses.replace(artefact, frames=frames)

    ctx = ScoreContext(torch.device("cpu"), 0, data)
    others = degenerate_paths(artefact.frames)
    truth_wins(metric, scored(metric, task, make, ctx), artefact.frames, others)


def shapes(n: int) -> Tensor:
    """Draw discs of several sizes at several places, with a texture."""
    generator = torch.Generator().manual_seed(3)
    places = 8 + 16 * torch.rand(n, 2, generator=generator)
    radii = 3 + 4 * torch.rand(n, generator=generator)
    texture = 0.7 + 0.3 * torch.rand(n, SIDE, SIDE, generator=generator)
    discs = [disc(*p, r) for p, r in zip(places.tolist(), radii.tolist(), strict=True)]
    return (torch.stack(discs) * texture).unsqueeze(1)


@pytest.mark.parametrize(("metric", "task"), directed("reconstruction"))
@pytest.mark.usefixtures("lpips_weights")
def test_the_images_themselves_win(metric: Metric, task: str) -> None:
    images = shapes(64)
    split = Split(images)
    data = ImageDataset("discs", "drawn", split, split, split, sha256="0" * 64)
    others = {
        "blank": torch.zeros_like(images),
        "grey": images.mean((1, 2, 3), keepdim=True).expand_as(images),
        "blurred": blurred(images),
        "frozen": images[:1].expand_as(images),
        "cross-faded": (images + images.roll(1, 0)) / 2,
        "shuffled": images.roll(1, 0),
        "one bad of eight": one_bad(images),
    }
    ctx = ScoreContext(torch.device("cpu"), 0, data)
    good = scored(metric, task, lambda made: ComparedImages(images, made), ctx)
    truth_wins(metric, good, images, others)


@pytest.mark.parametrize(("metric", "task"), directed("translation"))
def test_images_of_the_target_win(
    metric: Metric, task: str, pair_scoring: ScoreContext, translated: Callable[..., Translated]
) -> None:
    if metric.missing(pair_scoring.data):
        # The features of the LeNet, which reads 32x32 images: the same as of reconstruction.
        assert metric.id in ("fid[lenet]", "kid[lenet]")
        return
    truth, source = translated().generated, translated().source
    others = {
        "blank": torch.zeros_like(truth),
        "grey": truth.mean((1, 2, 3), keepdim=True).expand_as(truth),
        "blurred": blurred(truth),
        "frozen": truth[:1].expand_as(truth),
        "cross-faded": (truth + source) / 2,
        "copied": source,
        "shuffled": truth.roll(1, 0),
        "one bad of eight": one_bad(truth),
    }
    good = scored(metric, task, translated, pair_scoring)
    truth_wins(metric, good, truth, others)


WON = [
    (PathEnergy(), "lower", "blank"),
    (PathEnergy(), "lower", "frozen"),
    (MaxStep(), "lower", "cross-faded"),
    (AdjacentSSIM("std"), "lower", "frozen"),
    (MassDrift(), "lower", "grey"),
    (MassLeak(), "lower", "frozen"),
    (FID("lenet"), "lower", "frozen"),
]
"""Metrics of paths without a direction, with the one that they would have, and who would win."""


@pytest.mark.parametrize(("metric", "way", "winner"), WON, ids=lambda x: getattr(x, "id", x))
def test_what_a_degenerate_path_wins_has_no_direction(
    metric: Metric, way: str, winner: str
) -> None:
    assert metric.direction_on("interpolation") == "neutral"
    artefact = straight()
    # A path that a good method would draw: true, but one frame is a little dim.
    frames = artefact.frames.clone()
    frames[:, 3] *= 0.95

    def value(frames: Tensor) -> float:
        middle = ComparedImages(artefact.x0, frames[:, 5], paired=False)
        ctx = ScoreContext(torch.device("cpu"), 0, images_of(artefact))
        paths = dataclasses.replace(artefact, frames=frames, midpoints=middle)
        return metric.compute(paths, ctx).value

    assert value(degenerate_paths(artefact.frames)[winner]) <= value(frames)


def test_a_static_path_between_different_images_is_one_jump() -> None:
    artefact = straight()
    frames = degenerate_paths(artefact.frames)
    ctx = ScoreContext(torch.device("cpu"), 0, images_of(artefact))
    for name in ("blank", "frozen", "teleporting"):
        paths = dataclasses.replace(artefact, frames=frames[name])
        assert MaxStep().compute(paths, ctx).value == pytest.approx(1 - 1 / (FRAMES - 1))


def test_a_blank_frame_is_as_far_as_an_image_can_be() -> None:
    """Against a brute-force search over single pixels, which are the extreme images."""
    image = disc(9, 20).double()
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1).double()
    costs = torch.cdist(places, places).square() @ (image.flatten() / image.sum())
    blank = torch.zeros(1, SIDE, SIDE)
    assert squared_w2(blank, image.unsqueeze(0)) == pytest.approx(float(costs.max()), rel=1e-9)
    centre = torch.tensor([[9.0, 20.0]], dtype=torch.float64)
    far = float((places - centre).norm(dim=1).max())
    assert centroid_distances(blank, centre).item() == pytest.approx(far)
    assert area_agreement(blank, torch.ones(1)).item() == 0
