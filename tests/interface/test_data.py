"""Samples of a split: proportions, seeds, and files that are sorted by class."""

from __future__ import annotations

import pytest
import torch

from otbench.interface import Split


def by_class(*counts: int) -> Split:
    """Return items that are numbered in the order of their classes, as a class-sorted folder."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return Split(torch.arange(float(len(labels))).view(-1, 1, 1, 1), labels)


@pytest.mark.parametrize("n", [10, 37, 100, 640, 1000])
def test_every_beginning_holds_the_classes_in_proportion(n: int) -> None:
    counts = [500, 300, 150, 50]
    sample = by_class(*counts).sample()
    assert sample.labels is not None
    found = torch.bincount(sample.labels[:n], minlength=4)
    due = torch.tensor(counts) * n / 1000
    # A class spread evenly over the whole is off by one item at most.
    assert float((found - due).abs().max()) <= 1
    assert torch.equal(by_class(*counts).sample(n).images, sample.images[:n])


def test_a_sample_is_fixed_without_repetition_and_keeps_labels_with_images() -> None:
    split = by_class(40, 60)
    one, other = split.sample(30), split.sample(30)
    assert torch.equal(one.images, other.images)
    items = one.images.flatten().long()
    assert len(items.unique()) == 30
    assert torch.equal(one.labels, split.labels[items])
    assert torch.equal(split.sample().images.flatten().sort().values, split.images.flatten())
    assert len(split.sample(1000)) == 100
    # Not the first ones of each class.
    assert int(items[one.labels == 0].max()) > 30


def test_without_labels_it_is_a_plain_shuffle() -> None:
    split = Split(torch.arange(1000.0).view(-1, 1, 1, 1))
    items = split.sample(200).images.flatten()
    assert split.sample(200).labels is None
    # The mean of 200 of 1000 numbers is 500 up to 18.
    assert float(items.mean()) == pytest.approx(499.5, abs=60)


def test_one_item_of_each_class_and_empty_samples() -> None:
    assert sorted(by_class(1, 1, 1).sample(3).labels.tolist()) == [0, 1, 2]
    assert len(by_class(2, 3).sample(0)) == 0
