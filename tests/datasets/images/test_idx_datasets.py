from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from otbench.assets import store
from otbench.errors import DataError, DataWarning, UsageError
from otbench_datasets.images import idx
from otbench_datasets.images.fashion_mnist import FashionMNIST
from otbench_datasets.images.mnist import MNIST


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with a small MNIST, which the store hands out under any name."""
    draw = np.random.default_rng(0)
    for prefix, n in (("train-", 5100), ("t10k-", 30)):
        write_idx(tmp_path / f"{prefix}images-idx3-ubyte", draw.integers(0, 256, (n, 28, 28)))
        write_idx(tmp_path / f"{prefix}labels-idx1-ubyte", np.arange(n) % 10)
    monkeypatch.setattr(store, "require", lambda name: tmp_path)
    return tmp_path


def raw(path):
    return np.frombuffer(path.read_bytes()[16:], np.uint8).reshape(-1, 28, 28)


@pytest.mark.parametrize(("dataset", "name"), [(MNIST, "mnist"), (FashionMNIST, "fashion-mnist")])
def test_the_splits(folder, dataset, name):
    data = dataset().load()
    assert (data.name, data.variant, data.classes) == (name, "full", 10)
    assert (len(data.train), len(data.validation), len(data.test)) == (100, 5000, 30)
    assert data.image_shape == (1, 32, 32)
    assert data.sha256 == store.digest(name)
    assert dataset.assets == (name,)
    # Validation is the end of the training set, in its order.
    pixels = raw(folder / "train-images-idx3-ubyte")
    inner = data.validation.images[:, 0, 2:-2, 2:-2]
    np.testing.assert_array_equal((inner * 255).round().numpy(), pixels[100:])
    assert data.validation.labels.tolist() == (np.arange(100, 5100) % 10).tolist()


def test_pixels_are_padded_with_zeros_and_scaled(folder):
    images = MNIST().load().test.images
    assert images.dtype == torch.float32
    pixels = np.pad(raw(folder / "t10k-images-idx3-ubyte"), ((0, 0), (2, 2), (2, 2)))
    np.testing.assert_allclose(images[:, 0].numpy(), pixels / np.float32(255), rtol=1e-7)


@pytest.mark.parametrize("dataset", [MNIST, FashionMNIST])
def test_binarize(folder, dataset):
    data = dataset(binarize=True).load()
    assert data.variant == "full-binary"
    assert torch.equal(data.test.images, (dataset().load().test.images > 0.5).float())


def test_without_the_full_set_5000_are_used_and_said_loudly(tmp_path, monkeypatch):
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("OTBENCH_OFFLINE", "1")
    monkeypatch.delenv("OTBENCH_DATA_DIR", raising=False)
    with pytest.warns(DataWarning, match=r"variant '5k'[\s\S]*train-images-idx3-ubyte"):
        data = MNIST().load()
    assert data.variant == "5k"
    assert data.sha256 == store.digest("mnist-5k") != store.digest("mnist")
    for split, n in ((data.train, 350), (data.validation, 50), (data.test, 100)):
        assert split.labels.bincount().tolist() == [n] * 10
    # The mean over MNIST's training set is 0.1307 for 28x28 (torchvision's example and others).
    every = torch.cat([data.train.images, data.validation.images, data.test.images])
    assert float(every.mean()) * 32**2 / 28**2 == pytest.approx(0.1307, abs=0.002)
    with pytest.warns(DataWarning):
        assert MNIST(binarize=True).load().variant == "5k-binary"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x0d\x01" + bytes(8),
        b"\0\0\x08\x02\0\0",
        b"\0\0\x08\x01\0\0\0\x05" + bytes(4),
        b"\0\0\x08\x01\0\0\0\x05" + bytes(6),
    ],
)
def test_a_broken_idx_file_is_named(tmp_path, content):
    (tmp_path / "broken-ubyte").write_bytes(content)
    with pytest.raises(DataError, match="broken-ubyte"):
        idx.read_idx(tmp_path / "broken-ubyte")


def test_images_and_labels_must_match(folder):
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(29))
    with pytest.raises(DataError, match="t10k"):
        idx.read_pair(folder, "t10k-")


@pytest.mark.parametrize("dataset", [MNIST, FashionMNIST])
def test_limit_keeps_the_next_image_of_each_class_in_turn(folder, dataset):
    whole, data = dataset().load().train, dataset(limit=25).load()
    assert data.train.labels.tolist() == [*range(10), *range(10), *range(5)]
    # The labels of the small set go 0, 1, ..., 9, 0, ...: the order is the same.
    assert torch.equal(data.train.images, whole.images[:25])
    assert len(data.validation) == 5000
    assert len(data.test) == 30


@pytest.mark.parametrize("limit", [1, 101])
def test_an_impossible_limit_is_named(folder, limit):
    with pytest.raises(UsageError, match=f"from 2 to 100, got {limit}"):
        MNIST(limit=limit).load()


def test_pairs_by_class(folder):
    data = MNIST(pairs="8-3+8-8").load()
    expected = data.test.images[[8, 18]], data.test.images[[3, 28]]
    assert torch.equal(data.pairs[0], expected[0])
    assert torch.equal(data.pairs[1], expected[1])
    assert MNIST().load().pairs is None


@pytest.mark.parametrize("text", ["8", "8-3-4", "8-x", "8-3+"])
def test_unreadable_pairs_are_named(folder, text):
    with pytest.raises(UsageError, match="written like 8-3"):
        MNIST(pairs=text).load()


def test_pairs_of_a_class_that_runs_out(folder):
    with pytest.raises(UsageError, match="more images of class 4 than the 3"):
        MNIST(pairs="4-4+4-4").load()
