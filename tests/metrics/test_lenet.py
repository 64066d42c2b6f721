"""The shipped classifier: its size, its training, its reading of RGB."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from otbench.interface import ImageDataset, Split
from otbench.metrics.lenet import WEIGHTS, load_lenet
from otbench.metrics.train_lenet import accuracy, train


def test_shipped_weights_are_small_and_good() -> None:
    assert WEIGHTS.stat().st_size < 1_000_000
    with safe_open(WEIGHTS, "pt") as file:
        assert float(file.metadata()["test_accuracy"]) >= 0.985


def test_reads_real_digits_of_another_source() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    images = torch.nn.functional.interpolate(images, 20, mode="bilinear").clamp(0, 1)
    images = torch.nn.functional.pad(images, (6,) * 4)
    network = load_lenet(torch.device("cpu"))
    split = Split(images, torch.from_numpy(digits.target).long())
    # Chance is 0.1; these are other writers, another scanner, 8x8 pixels blown up.
    assert accuracy(network, split) > 0.8
    assert network.features(images[:3].expand(-1, 3, -1, -1)).shape == (3, network.dimension)


def test_luminance_of_gray_is_gray() -> None:
    network = load_lenet(torch.device("cpu"))
    gray = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        network.features(gray), network.features(gray.expand(-1, 3, -1, -1)), atol=1e-3
    )


def test_training_learns_and_repeats(blobs: ImageDataset) -> None:
    first, second = (train(blobs.train, epochs=1) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert accuracy(train(blobs.train, epochs=8), blobs.test) > 0.9


def test_mnist_is_read_from_idx_files(tmp_path) -> None:
    from otbench.metrics.train_lenet import read_idx

    pixels = torch.arange(2 * 784, dtype=torch.uint8) % 251
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(bytes(16) + pixels.numpy().tobytes())
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(bytes(8) + bytes([7, 3]))
    split = read_idx(tmp_path, "t10k")
    assert split.images.shape == (2, 1, 32, 32)
    assert split.labels is not None
    assert split.labels.tolist() == [7, 3]
    assert float(split.images[1, 0, 2, 3]) == pytest.approx(float(pixels[785]) / 255)
