"""Splits by the digest of pixels."""

from __future__ import annotations

import pytest
import torch

from otbench.interface import Split
from otbench_datasets.splits import by_digest


def noise(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def rows(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def test_the_shares_are_right():
    train, validation, test = by_digest(noise(4000), None)
    assert len(train) / 4000 == pytest.approx(0.7, abs=0.03)
    assert len(validation) / 4000 == pytest.approx(0.1, abs=0.02)
    assert len(test) / 4000 == pytest.approx(0.2, abs=0.02)


def test_every_image_lands_in_one_split_whatever_the_order():
    images = noise(200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    parts, shuffled = by_digest(images, None), by_digest(images[order], None)
    assert [rows(part) for part in parts] == [rows(part) for part in shuffled]
    assert set.union(*map(rows, parts)) == rows(Split(images))


def test_an_image_keeps_its_split_when_others_are_added():
    images, more = noise(200), noise(100, 1)
    before, after = by_digest(images, None), by_digest(torch.cat([images, more]), None)
    assert all(rows(old) <= rows(new) for old, new in zip(before, after, strict=True))


def test_a_period_in_the_order_is_no_period_in_the_splits():
    """Twelve subjects in ten poses, sorted: every split sees nearly all poses."""
    poses = torch.arange(120) % 10
    images = noise(120)
    images[:, 0, 0, 0] = poses / 10
    for split in by_digest(images, None):
        seen = (split.images[:, 0, 0, 0] * 10).round().unique()
        assert len(seen) >= 5


@pytest.mark.parametrize("n", [3, 4, 5, 9])
def test_few_images_of_a_class_fill_all_three(n: int):
    labels = torch.arange(2 * n) % 2
    for split in by_digest(noise(2 * n), labels):
        assert split.labels is not None
        assert split.labels.unique().tolist() == [0, 1]


def test_equal_images_share_a_split():
    images = noise(100)
    train, validation, test = map(rows, by_digest(torch.cat([images, images]), None))
    assert not train & test
    assert not train & validation
    assert not validation & test
