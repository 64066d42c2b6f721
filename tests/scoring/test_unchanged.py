"""A change of the data is found, whatever tensor and however small."""

from __future__ import annotations

import pytest
import torch

from otbench.conformance import tiny_image_pair, tiny_images
from otbench.interface.scoring import ScoreContext
from otbench.scoring.unchanged import ChangedData, Unchanged

CPU = torch.device("cpu")


def test_nothing_changed_is_fine() -> None:
    data = tiny_images()
    guard = Unchanged(data, ScoreContext(CPU, 0, data))
    guard.check("fit")
    (data.test.images + 1).mul_(2)
    guard.check("task a")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_one_pixel_is_found(split: str) -> None:
    data = tiny_images()
    guard = Unchanged(data, ScoreContext(CPU, 0, data))
    getattr(data, split).images[-1, 0, 3, 5] += 1e-3
    with pytest.raises(ChangedData, match=rf"fit: the method changed data\.{split}\.images"):
        guard.check("fit")


def test_two_images_exchanged_are_found() -> None:
    data = tiny_images()
    guard = Unchanged(data, ScoreContext(CPU, 0, data))
    images = data.test.images
    images[[0, 1]] = images[[1, 0]].clone()
    with pytest.raises(ChangedData, match=r"data\.test\.images"):
        guard.check("fit")


def test_pairs_of_image_sets_are_watched() -> None:
    pair = tiny_image_pair()
    guard = Unchanged(pair, ScoreContext(CPU, 0, pair))
    pair.target_images.train.images[0].zero_()
    with pytest.raises(ChangedData, match=r"target_images\.train\.images"):
        guard.check("fit")


def test_what_was_computed_is_watched_from_then_on() -> None:
    data = tiny_images()
    ctx = ScoreContext(CPU, 0, data)
    guard = Unchanged(data, ctx)
    kept = ctx.once("scored", lambda: data.test.images.clone())
    guard.check("task a")
    kept[0].add_(1)
    with pytest.raises(ChangedData, match="task b: the method changed scored in place"):
        guard.check("task b")
