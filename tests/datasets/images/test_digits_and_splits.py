from __future__ import annotations

import numpy as np
import torch

from otbench_datasets.images.digits import Digits
from otbench_datasets.splits import stratified, tensor_digest


def test_digits():
    from skimage.transform import resize
    from sklearn.datasets import load_digits

    data = Digits().load()
    sizes = [len(s) for s in (data.train, data.validation, data.test)]
    assert sum(sizes) == 1797
    assert data.image_shape == (1, 32, 32)
    assert Digits().load().sha256 == data.sha256
    # The first image is the first of its class: training, by rank.
    expected = resize(load_digits().images[0] / 16, (32, 32), order=1, mode="edge")
    np.testing.assert_allclose(data.train.images[0, 0].numpy(), expected, atol=1e-6)
    for split in (data.train, data.validation, data.test):
        share = split.labels.bincount() / len(split)
        torch.testing.assert_close(share, torch.full((10,), 0.1), atol=0.01, rtol=0)


def test_stratified_splits_are_disjoint_and_complete():
    images = torch.arange(200.0).view(-1, 1, 1, 1)
    labels = torch.arange(200) % 2
    parts = stratified(images, labels)
    assert [len(part) for part in parts] == [140, 20, 40]
    every = torch.cat([part.images.flatten() for part in parts])
    assert torch.equal(every.sort().values, images.flatten())
    for part in parts:
        assert torch.equal(part.images.flatten().long() % 2, part.labels)
        assert part.labels.bincount().unique().numel() == 1


def test_three_images_fill_all_parts():
    parts = stratified(torch.zeros(3, 1, 1, 1), None)
    assert [len(part) for part in parts] == [1, 1, 1]
    assert parts[0].labels is None


def test_the_digest_sees_values_shapes_and_types():
    x = torch.arange(6.0)
    digests = {tensor_digest(t) for t in (x, x + 1, x.view(2, 3), x.int())}
    assert len(digests) == 4
    assert tensor_digest(x.clone()) in digests
    assert tensor_digest(x.view(2, 3).T) == tensor_digest(x.view(2, 3).T.contiguous())
