"""The classifier of an image pair: what it tells, where it is kept, what it leaves alone."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.interface import ImageDataset, ImagePair, Split
from otbench.interface.artefacts import Translated
from otbench.interface.scoring import ScoreContext
from otbench.metrics import domain
from otbench.metrics.domain import (
    DomainClassifier,
    DomainNet,
    domain_features,
    file_of,
    mode_count,
    stored_or_trained,
)
from otbench.metrics.domain_fd import DomainFD, floor, resampled
from otbench.metrics.frechet import FID, frechet_distance

CPU = torch.device("cpu")
Make = Callable[..., Translated]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "STEPS", 4)


@pytest.mark.parametrize("side", [16, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_all_sizes_have_as_many_features(side: int, channels: int) -> None:
    network = DomainNet((channels, side, side), classes=5)
    features = network.features(torch.rand(2, channels, side, side))
    told, modes = network.logits(features)
    assert (features.shape, told.shape, modes.shape) == ((2, 64), (2,), (2, 5))
    convolutions = [layer for layer in network.body if isinstance(layer, torch.nn.Conv2d)]
    assert 4 * 2 ** len(convolutions) == side


def test_it_tells_sides_and_modes_of_images_it_has_not_seen(pair_scoring: ScoreContext) -> None:
    found = domain.classifier(pair_scoring)
    assert found.domain_accuracy > 0.98
    assert found.mode_accuracy is not None
    assert found.mode_accuracy > 0.98
    test = pair_scoring.data.target_images.test
    features = domain_features(test.images, pair_scoring)
    assert (found.modes(features) == test.labels).double().mean() == found.mode_accuracy
    assert not any(p.requires_grad for p in found.network.parameters())


def test_training_is_fixed_and_leaves_torchs_randomness_alone(
    image_pair: ImagePair, home: Path, quick: None
) -> None:
    before = torch.random.get_rng_state()
    with torch.no_grad():
        first = domain.train(image_pair, CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    second = domain.train(image_pair, CPU)
    x = image_pair.source_images.test.images
    assert torch.equal(first.network.features(x), second.network.features(x))


def test_it_is_trained_once_and_then_read(
    image_pair: ImagePair, home: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = stored_or_trained(image_pair, CPU)
    assert file_of(image_pair).parent == home / "features"
    left = {file.suffix for file in (home / "features").iterdir()}
    assert left - {".lock"} == {".safetensors"}
    monkeypatch.setattr(domain, "train", None)
    before = torch.random.get_rng_state()
    read = stored_or_trained(image_pair, CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
    x = image_pair.source_images.test.images
    assert torch.equal(read.network.features(x), trained.network.features(x))
    accuracies = (read.domain_accuracy, read.mode_accuracy)
    assert accuracies == (trained.domain_accuracy, trained.mode_accuracy)


@pytest.mark.parametrize("content", [b"no safetensors", None])
def test_a_file_that_does_not_fit_is_made_anew(
    image_pair: ImagePair, bare_pair: ImagePair, home: Path, quick: None, content: bytes | None
) -> None:
    path = file_of(image_pair)
    if content is None:
        stored_or_trained(bare_pair, CPU)
        file_of(bare_pair).rename(path)
    else:
        path.parent.mkdir()
        path.write_bytes(content)
    found = stored_or_trained(image_pair, CPU)
    assert found.network.heads.out_features == 5
    assert stored_or_trained(image_pair, CPU).mode_accuracy == found.mode_accuracy


def test_two_that_want_the_same_train_it_once(
    image_pair: ImagePair, home: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, train = [], domain.train

    def counted(*arguments: object) -> DomainClassifier:
        count.append(1)
        return train(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(domain, "train", counted)
    threads = [threading.Thread(target=stored_or_trained, args=(image_pair, CPU)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1


def test_where_nothing_can_be_written_it_stays_in_memory(
    image_pair: ImagePair, home: Path, quick: None
) -> None:
    (home / "features").write_text("no folder")
    ctx = ScoreContext(CPU, 0, image_pair)
    with pytest.warns(UserWarning, match="the domain classifier is not kept"):
        found = domain.classifier(ctx)
    assert domain.classifier(ctx) is found


def test_modes_need_labels_everywhere(image_pair: ImagePair, bare_pair: ImagePair) -> None:
    assert mode_count(image_pair) == 4
    assert mode_count(bare_pair) is None


def test_training_images_out_of_range_are_refused(image_pair: ImagePair) -> None:
    side = image_pair.source_images
    wrong = Split(side.train.images * 2 - 1, side.train.labels)
    broken = ImageDataset("wrong", "tiny", wrong, side.test, side.test, "1" * 64, classes=4)
    with pytest.raises(ValueError, match=r"'source' has values from .* \(x \+ 1\) / 2"):
        domain.train(ImagePair("p", "tiny", broken, image_pair.target_images), CPU)


def test_the_distance_lies_between_floor_and_identity(
    pair_scoring: ScoreContext, translated: Make
) -> None:
    perfect = translated()
    value, floor, identity = (
        DomainFD(of).compute(perfect, pair_scoring)  # type: ignore[arg-type]
        for of in ("generated", "floor", "identity")
    )
    # all images count, and the floor is for as many
    assert value.n == floor.n == identity.n == 160
    assert value.value < 3 * floor.value
    assert value.value < 0.15 * identity.value
    still = translated(perfect.source)
    assert DomainFD().compute(still, pair_scoring).value == pytest.approx(identity.value)
    with torch.no_grad():
        real, source = (
            domain.classifier(pair_scoring).network.features(x)
            for x in (perfect.real, perfect.source)
        )
    assert identity.value == pytest.approx(frechet_distance(real, source), rel=1e-6)
    assert (DomainFD().id, DomainFD("floor").id) == ("domain_fd", "domain_fd[floor]")
    assert (DomainFD().direction, DomainFD("floor").direction) == ("lower", "neutral")
    with pytest.raises(ValueError, match="generated, floor, identity"):
        DomainFD("ceiling")  # type: ignore[arg-type]


def test_the_usual_distances_take_translations_too(image_pair: ImagePair) -> None:
    assert "translation" in FID.tasks
    assert FID().missing(image_pair) == "lenet reads 32x32 images, got 16x16"
    big: list[Tensor] = [torch.rand(8, 3, 32, 32) for _ in range(4)]
    artefact = Translated(big[0], big[1], False, source=big[2], again=big[3], excess=0.0)
    assert FID().compute(artefact, ScoreContext(CPU, 0, image_pair)).value > 0


def gaussian(n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, 16, generator=generator, dtype=torch.float64)


def test_the_floor_is_the_distance_of_two_samples_of_one_law() -> None:
    """Against fresh samples, for pools that hold both samples, and that hold less."""
    generator = torch.Generator().manual_seed(5)
    n, m = 400, 250
    due = np.mean(
        [frechet_distance(gaussian(n, generator), gaussian(m, generator)) for _ in range(60)]
    )
    for size in (2 * (n + m), n + m, 500):
        found = floor(gaussian(size, generator), n, m)
        assert found.value == pytest.approx(due, rel=0.12)


def test_the_bootstrap_error_is_the_spread_over_samples() -> None:
    generator = torch.Generator().manual_seed(6)
    found = [resampled(gaussian(300, generator) + 0.5, gaussian(200, generator)) for _ in range(40)]
    spread = np.std([value.value for value in found], ddof=1)
    assert np.mean([value.stderr for value in found]) == pytest.approx(spread, rel=0.3)


def test_the_order_of_the_images_changes_nothing(
    pair_scoring: ScoreContext, translated: Make
) -> None:
    """Half of the images in the order of a file was what made the distance a matter of luck."""
    perfect = translated()
    order = perfect.labels.argsort()
    by_class = dataclasses.replace(perfect, real=perfect.real[order])
    for of in ("generated", "floor"):
        one, other = (DomainFD(of).compute(x, pair_scoring).value for x in (perfect, by_class))  # type: ignore[arg-type]
        assert one == pytest.approx(other, rel=0.25 if of == "floor" else 1e-6)
