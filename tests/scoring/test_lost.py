"""Trainings that led to no model that works: collapsed, diverged, and those that did neither."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from otbench.interface import (
    Autoencoder,
    ImageDataset,
    ImagePair,
    MeasurePair,
    Split,
    TransportMap,
)
from otbench.interface.scoring import ScoreContext
from otbench.metrics.collapse import BLOW_UP, blown_up, still_collapsed
from otbench.scoring.kinds import kind_of
from otbench.scoring.lost import of_images, of_losses, of_map, of_translation
from otbench_datasets.images.digits import Digits
from otbench_datasets.point_pairs.gaussian_pair import GaussianPair


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return Digits().load()


def context(data: object) -> ScoreContext:
    return ScoreContext(torch.device("cpu"), 0, data, sample=256)


class Draws(Autoencoder):
    """Reconstructs as it is told; its code is the image."""

    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        self._draw = draw

    def fit(self, data: object, ctx: object) -> None:
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        self._shape = x.shape[1:]
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return self._draw(z.unflatten(1, self._shape))


def constant(value: float) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.full_like(x, value)


def mean_image(x: Tensor) -> Tensor:
    return x.mean(0, keepdim=True).expand_as(x)


def nearly_the_mean(x: Tensor) -> Tensor:
    """Keep a fifth of the distance to the mean: 4 % of the variance."""
    return torch.lerp(mean_image(x), x, 0.2)


def of_another(x: Tensor) -> Tensor:
    return x.roll(1, 0)


def negative(x: Tensor) -> Tensor:
    return 1 - x


def blurred(x: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(x, 3, 1, 1)


@pytest.mark.parametrize(
    ("draw", "status", "reason"),
    [
        (constant(0.0), "collapsed", "has 0 of the data's variance, below 0.1"),
        (constant(0.5), "collapsed", "has 0 of the data's variance"),
        (mean_image, "collapsed", "of the data's variance"),
        (nearly_the_mean, "collapsed", "has 0.04"),
        (of_another, "diverged", "worse than the mean image"),
        (negative, "diverged", "worse than the mean image"),
    ],
)
def test_what_an_autoencoder_must_not_draw(
    draw: Callable[[Tensor], Tensor], status: str, reason: str, digits: ImageDataset
) -> None:
    found = of_images(Draws(draw), digits, context(digits), [])
    assert found is not None
    assert found.status == status
    assert reason in found.reason


@pytest.mark.parametrize("draw", [torch.clone, blurred])
def test_a_blurred_reconstruction_is_no_collapse(
    draw: Callable[[Tensor], Tensor], digits: ImageDataset
) -> None:
    assert of_images(Draws(draw), digits, context(digits), []) is None


def greys(n: int) -> ImageDataset:
    """Return images of one grey each, spread evenly from black to white."""
    images = torch.linspace(0, 1, n).view(n, 1, 1, 1).expand(n, 1, 8, 8).clone()
    return ImageDataset("greys", "drawn", *(Split(images) for _ in range(3)), sha256="g")


def test_two_images_that_are_far_apart_cover_little() -> None:
    """Two greys have three quarters of the variance and a quarter of the mean image's error."""

    def quarters(x: Tensor) -> Tensor:
        return (x > 0.5).float() / 2 + 0.25

    data = greys(400)
    found = of_images(Draws(quarters), data, context(data), [])
    assert found is not None
    assert found.status == "collapsed"
    assert "of the data, below 0.1" in found.reason
    assert of_images(Draws(torch.clone), data, context(data), []) is None
    few = greys(40)
    assert of_images(Draws(quarters), few, context(few), []) is None, "too few to cover"


def test_a_loss_that_ends_far_above_its_start() -> None:
    steps = list(range(40))
    rising = [[step, 700.0 * 1.2**step] for step in steps]
    found = of_losses({"reconstruction": rising})
    assert found is not None
    assert found.status == "diverged"
    assert "loss 'reconstruction' ended" in found.reason
    assert of_losses({"reconstruction": rising[::-1]}) is None
    # A term that grows as it should is no loss of the whole.
    assert of_losses({"energy": rising}) is None
    assert of_losses({}) is None


def test_one_bad_batch_at_the_end_is_no_blow_up() -> None:
    assert blown_up([10.0] * 39 + [1e9]) is None
    assert blown_up([10.0] * 36 + [1e9] * 4) == pytest.approx(1e8)
    assert blown_up([1.0, BLOW_UP]) is None
    assert blown_up([-1.0, 50.0]) is None
    assert blown_up([5.0]) is None


def test_a_map_that_recovered_is_not_collapsed() -> None:
    def at(*coverage: float) -> list[dict[str, float]]:
        return [{"step": 100 * k, "coverage": c, "pairwise": 1.0} for k, c in enumerate(coverage)]

    assert still_collapsed(at(0.5, 0.8, 0.2, 0.2)) == "coverage"
    assert still_collapsed(at(0.5, 0.2, 0.2, 0.8)) is None
    assert still_collapsed(at(0.5, 0.8, 0.8, 0.2)) is None, "once is chance"
    assert still_collapsed([{"step": 9, "pairwise": 0.3}]) == "pairwise"
    assert still_collapsed([]) is None


class Moves(TransportMap):
    """Carries points as it is told."""

    def __init__(self, move: Callable[[Tensor], Tensor]) -> None:
        self._move = move

    def fit(self, data: object, ctx: object) -> None:
        raise NotImplementedError

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self._move(x)


@pytest.mark.parametrize(
    ("move", "status"),
    [(torch.zeros_like, "collapsed"), (lambda x: 0.1 * x, "collapsed"), (torch.clone, None)],
)
def test_a_map_of_points(move: Callable[[Tensor], Tensor], status: str | None) -> None:
    pair: MeasurePair = GaussianPair().load()
    found = of_map(Moves(move), pair, context(pair), [])
    assert (found.status if found else None) == status


def test_a_map_whose_unexplained_variance_is_above_that_of_a_constant() -> None:
    pair: MeasurePair = GaussianPair().load()
    for uvp, status in ((250.0, "diverged"), (100.5, None), (None, None)):
        rows = [{"metric": "uvp[forward]", "value": uvp}]
        found = of_map(Moves(torch.clone), pair, context(pair), rows)
        assert (found.status if found else None) == status


def test_a_map_of_images_by_its_last_evaluation_or_what_it_draws(digits: ImageDataset) -> None:
    pair = ImagePair("digits-to-digits", "drawn", digits, digits)
    ctx = context(pair)
    assert of_translation(Moves(torch.clone), pair, ctx, []) is None
    gone = of_translation(Moves(torch.zeros_like), pair, ctx, [])
    assert gone is not None
    assert gone.status == "collapsed"
    assert "less than half as far from each other" in gone.reason
    ctx.curve = [{"step": 5, "seconds": 1.0, "pairwise": 0.2}]
    assert of_translation(Moves(torch.clone), pair, ctx, []) == gone
    ctx.curve = [{"step": 5, "seconds": 1.0, "pairwise": 0.9}]
    assert of_translation(Moves(torch.zeros_like), pair, ctx, []) is None


def test_every_kind_of_data_has_its_rule(digits: ImageDataset) -> None:
    assert kind_of(digits).lost is of_images
    assert kind_of(GaussianPair().load()).lost is of_map
    assert kind_of(ImagePair("two", "drawn", digits, digits)).lost is of_translation
