"""The tasks on methods whose answers are known, and on faulty ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from otbench.interface import (
    Autoencoder,
    CircularFamily,
    FitContext,
    ImageDataset,
    Interpolator,
    Method,
    Split,
    TransportMap,
)
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput, Task
from otbench.tasks.classification import Classification, fit_probe
from otbench.tasks.clustering import Clustering
from otbench.tasks.drawing import random_pairs
from otbench.tasks.interpolation import PAIR_SEED, Interpolation
from otbench.tasks.reconstruction import Reconstruction


class Untrained:
    """What the doubles below share: nothing to learn."""

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Learn nothing."""

    def save(self, folder: Path) -> None:
        """Write nothing."""

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        return cls()


class Pixels(Untrained, Autoencoder):
    """The code is the image: interpolation is the pixel average."""

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return z.unflatten(1, (1, 32, 32))


class Fade(Untrained, Interpolator):
    """Interpolates only."""

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        time = t.view(1, -1, 1, 1, 1)
        return (1 - time) * x0.unsqueeze(1) + time * x1.unsqueeze(1)


class Map(Untrained, TransportMap):
    """Neither encodes nor interpolates."""

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x


@pytest.fixture
def scoring(blobs: ImageDataset) -> ScoreContext:
    return ScoreContext(torch.device("cpu"), 0, blobs, pairs=7, midpoints=20, batch_size=50)


TASKS = [Reconstruction(), Interpolation(), Classification(), Clustering()]


def test_reconstruction_of_pixels_is_the_image(blobs: ImageDataset, scoring: ScoreContext) -> None:
    scoring.sample = 60
    pairs = Reconstruction().run(Pixels(), blobs, scoring)
    assert torch.equal(pairs.real, blobs.test.sample(60).images)
    assert torch.equal(pairs.generated, pairs.real)


def test_paths_join_the_pairs(blobs: ImageDataset, scoring: ScoreContext) -> None:
    paths = Interpolation().run(Fade(), blobs, scoring)
    first, second = random_pairs(len(blobs.test), 7, PAIR_SEED)
    assert torch.equal(paths.x0, blobs.test.images[first])
    assert torch.equal(paths.x1, blobs.test.images[second])
    assert paths.frames.shape == (7, 11, 1, 32, 32)
    assert torch.equal(paths.frames[:, 0], paths.x0)
    assert torch.allclose(paths.frames[:, 5], (paths.x0 + paths.x1) / 2)
    assert paths.times.tolist() == pytest.approx([i / 10 for i in range(11)])
    assert paths.midpoints is not None
    assert paths.midpoints.generated.shape == (20, 1, 32, 32)
    assert not paths.midpoints.paired


def test_all_seeds_and_methods_see_the_same_pairs(blobs: ImageDataset) -> None:
    runs = [
        Interpolation().run(method, blobs, ScoreContext(torch.device("cpu"), seed, blobs, pairs=5))
        for method, seed in ((Fade(), 0), (Pixels(), 1))
    ]
    assert torch.equal(runs[0].x0, runs[1].x0)
    assert torch.allclose(runs[0].midpoints.generated, runs[1].midpoints.generated, atol=1e-6)


def test_pairs_of_the_data_set_come_first(blobs: ImageDataset, scoring: ScoreContext) -> None:
    ends = blobs.test.images[:9], blobs.test.images[9:18]
    paths = Interpolation().run(Fade(), dataclasses.replace(blobs, pairs=ends), scoring)
    # Seven of the nine, in their order, each with its partner.
    chosen = [i for i in range(9) if any(torch.equal(ends[0][i], x) for x in paths.x0)]
    assert len(chosen) == 7
    assert torch.equal(paths.x0, ends[0][chosen])
    assert torch.equal(paths.x1, ends[1][chosen])


def test_a_known_family_takes_16_frames(blobs: ImageDataset, scoring: ScoreContext) -> None:
    family = CircularFamily(blobs.test.images, torch.linspace(0, 6, 128))
    paths = Interpolation().run(Fade(), dataclasses.replace(blobs, family=family), scoring)
    assert paths.frames.shape[1] == len(paths.times) == 16


@pytest.mark.parametrize(("n", "count", "wanted"), [(100, 300, 300), (6, 300, 15), (2, 5, 1)])
def test_random_pairs_are_unordered_and_different(n: int, count: int, wanted: int) -> None:
    pairs = random_pairs(n, count, seed=3).T.tolist()
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == wanted
    assert all(a != b for a, b in pairs)
    assert pairs == random_pairs(n, count, seed=3).T.tolist()


def test_the_probe_is_at_the_minimum_of_the_ridge() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 12, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(12, 12, generator=generator, dtype=torch.float64)
    scores = x[:, :3] + 2 * torch.randn(500, 3, generator=generator, dtype=torch.float64)
    y = scores.argmax(1)
    probe = fit_probe(x, y)
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    weight, bias = (
        torch.tensor(array, requires_grad=True)
        for array in (probe[-1].coef_.T, probe[-1].intercept_)
    )
    loss = cross_entropy(torch.addmm(bias, standard, weight), y)
    (loss + weight.square().sum() / (2 * len(x))).backward()
    assert weight.grad is not None
    assert bias.grad is not None
    assert weight.grad.abs().max() < 1e-5
    assert bias.grad.abs().max() < 1e-5


def test_classification_reads_the_half(blobs: ImageDataset, scoring: ScoreContext) -> None:
    scoring.train_sample = 200
    predictions = Classification().run(Pixels(), blobs, scoring)
    assert (predictions.dimension, predictions.train_size) == (1024, 200)
    assert (predictions.predicted == predictions.labels).double().mean() > 0.9
    again = ScoreContext(scoring.device, 1, blobs, train_sample=200)
    assert torch.equal(
        Classification().run(Pixels(), blobs, again).predicted, predictions.predicted
    )


def test_a_class_sorted_folder_shows_all_its_classes(scoring: ScoreContext) -> None:
    """The first 100 of ten classes of 30 would be four of them: accuracy .4 at most."""
    labels = torch.arange(10).repeat_interleave(30)
    images = torch.zeros(300, 1, 32, 32)
    images[torch.arange(300), 0, labels, labels] = 1
    split = Split(images, labels)
    data = ImageDataset("sorted", "tiny", split, split, split, sha256="3" * 64, classes=10)
    scoring.sample = scoring.train_sample = 100
    codes = Clustering().run(Pixels(), data, scoring)
    for found in (codes.labels, codes.train_labels):
        assert torch.bincount(found, minlength=10).tolist() == [10] * 10
    predictions = Classification().run(Pixels(), data, scoring)
    assert torch.equal(predictions.predicted, predictions.labels)


def test_constant_coordinates_do_not_break_the_probe() -> None:
    probe = fit_probe(torch.ones(4, 2), torch.tensor([0, 0, 0, 1]))
    assert probe.predict(torch.full((3, 2), 2.0).numpy()).tolist() == [0, 0, 0]


def test_clustering_yields_codes(blobs: ImageDataset, scoring: ScoreContext) -> None:
    scoring.sample, scoring.train_sample = 70, None
    codes = Clustering().run(Pixels(), blobs, scoring)
    assert torch.equal(codes.train, blobs.train.sample().images.flatten(1))
    assert torch.equal(codes.test, blobs.test.sample(70).images.flatten(1))
    assert (len(codes.labels), codes.classes) == (70, 2)


def test_test_images_are_encoded_once(blobs: ImageDataset, scoring: ScoreContext) -> None:
    method, seen = Pixels(), []
    original = method.encode
    method.encode = lambda x: (seen.append(len(x)), original(x))[1]  # type: ignore[method-assign]
    for task in (Reconstruction(), Classification(), Clustering()):
        task.run(method, blobs, scoring)
    assert sum(seen) == len(blobs.test) + len(blobs.train)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_missing_gives_the_reason(task: Task, blobs: ImageDataset) -> None:
    unlabelled = dataclasses.replace(
        blobs, train=Split(blobs.train.images), test=Split(blobs.test.images)
    )
    assert task.missing(Pixels(), blobs) is None
    drawn, mapped = task.missing(Fade(), blobs), task.missing(Map(), blobs)
    if task.name == "interpolation":
        assert drawn is None
        assert mapped == "needs interpolate: Map draws no paths"
    else:
        assert drawn == "needs encode: Fade only interpolates"
        assert mapped == "needs encode: Map has no code"
    labels = task.missing(Pixels(), unlabelled)
    needy = task.name in ("classification", "clustering")
    assert labels == ("needs labels: blobs has none" if needy else None)


def test_one_image_makes_no_pair(blobs: ImageDataset) -> None:
    single = dataclasses.replace(blobs, test=Split(blobs.test.images[:1]))
    assert "two test images" in str(Interpolation().missing(Fade(), single))


FAULTS: list[tuple[Task, type[Method], str, Any, str]] = [
    (TASKS[0], Pixels, "decode", lambda z: z, r"Pixels.decode returned shape \(50, 1024\), wanted"),
    (TASKS[0], Pixels, "decode", lambda z: None, "decode returned a NoneType, wanted a tensor"),
    (
        TASKS[0],
        Pixels,
        "decode",
        lambda z: z.double().unflatten(1, (1, 32, 32)),
        "decode returned torch.float64, wanted torch.float32",
    ),
    (
        TASKS[0],
        Pixels,
        "decode",
        lambda z: 2 * z.unflatten(1, (1, 32, 32)) - 1,
        r"decode has values from -1 to .*, wanted \[0, 1\]",
    ),
    (
        TASKS[1],
        Fade,
        "interpolate",
        lambda a, b, t: torch.full((len(a), len(t), *a.shape[1:]), float("nan")),
        "Fade.interpolate has .* values that are not finite",
    ),
    (
        TASKS[1],
        Fade,
        "interpolate",
        lambda a, b, t: a.unsqueeze(1),
        r"interpolate returned shape .*, wanted \(",
    ),
    (
        TASKS[2],
        Pixels,
        "encode",
        lambda x: x,
        r"Pixels.encode returned shape \(50, 1, 32, 32\), wanted \(50, d\)",
    ),
    (
        TASKS[3],
        Pixels,
        "encode",
        lambda x: x.flatten(1) / 0,
        "encode has .* values that are not finite",
    ),
]


@pytest.mark.parametrize(("task", "kind", "call", "answer", "message"), FAULTS)
def test_faults_are_named(
    task: Task,
    kind: type[Method],
    call: str,
    answer: Any,
    message: str,
    blobs: ImageDataset,
    scoring: ScoreContext,
) -> None:
    method = kind()
    setattr(method, call, answer)
    with pytest.raises(BadOutput, match=message):
        task.run(method, blobs, scoring)


def test_rounding_outside_the_range_passes_unclipped(
    blobs: ImageDataset, scoring: ScoreContext
) -> None:
    method = Pixels()
    method.decode = lambda z: z.unflatten(1, (1, 32, 32)) + 5e-5  # type: ignore[method-assign]
    pairs = Reconstruction().run(method, blobs, scoring)
    assert pairs.generated.max() > pairs.real.max()


def test_clustering_needs_as_many_training_images_as_classes(blobs: ImageDataset) -> None:
    assert Clustering().lacks(blobs) is None
    one = dataclasses.replace(blobs, train=Split(blobs.train.images[:1], blobs.train.labels[:1]))
    assert Clustering().lacks(one) == "needs 2 training images: blobs has 1"
