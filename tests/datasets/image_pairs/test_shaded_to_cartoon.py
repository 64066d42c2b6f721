"""Shaded to cartoon faces: the two drawers, unpaired, with modes and masks that fit."""

from __future__ import annotations

import pytest
import torch

from otbench.errors import UsageError
from otbench_datasets.faces.base import Faces
from otbench_datasets.faces.cartoon_faces import cartoon_faces
from otbench_datasets.faces.shaded_faces import shaded_faces
from otbench_datasets.image_pairs.shaded_to_cartoon import ShadedToCartoon

SMALL = {"train": 40, "validation": 20, "test": 30}


def modes(faces: Faces) -> torch.Tensor:
    """Number hair style, mouth and glasses by looking each triple up."""
    numbers = {}
    for hair in range(4):
        for mouth in range(3):
            for glasses in range(2):
                numbers[hair, mouth, glasses] = len(numbers)
    factors = faces.factors
    triples = zip(
        factors.hair_style.tolist(), factors.mouth.tolist(), factors.glasses.tolist(), strict=True
    )
    return torch.tensor([numbers[triple] for triple in triples])


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_sides_are_the_drawers_from_seeds_of_their_own(size):
    pair = ShadedToCartoon(size, seed=3, **SMALL).load()
    assert pair.image_shape == (3, size, size)
    assert pair.classes == 24
    drawn = shaded_faces(90, size, 6), cartoon_faces(90, size, 7)
    for side, faces in zip((pair.source_images, pair.target_images), drawn, strict=True):
        parts = side.train, side.validation, side.test
        assert [len(part) for part in parts] == [40, 20, 30]
        images = torch.cat([part.images for part in parts])
        assert torch.equal(images, faces.images)
        assert float(images.min()) >= 0
        assert float(images.max()) <= 1
        assert torch.equal(torch.cat([part.labels for part in parts]), modes(faces))
    assert torch.equal(pair.colour_masks, drawn[0].face[60:])


def test_masks_show_the_skin_of_the_test_faces():
    """Under the mask lies the colour of the skin, up to light: brighter skin, brighter picture."""
    pair = ShadedToCartoon(train=1, validation=1, test=400).load()
    mask = pair.colour_masks
    assert mask.shape == (400, 32, 32)
    seen = (pair.source_images.test.images * mask.unsqueeze(1)).sum((1, 2, 3)) / mask.sum((1, 2))
    skin = shaded_faces(402, 32, 0).skin[2:].sum(1)
    assert float(torch.corrcoef(torch.stack([seen, skin]))[0, 1]) > 0.85
    # Shifted by one row, they show nothing.
    assert abs(float(torch.corrcoef(torch.stack([seen, skin.roll(1)]))[0, 1])) < 0.2


def test_the_sides_are_unpaired():
    pair = ShadedToCartoon(size=16, train=1500, validation=1, test=1).load()
    source, target = (side.train.labels for side in (pair.source_images, pair.target_images))
    # Independent labels agree once in 24; four standard deviations.
    assert float((source == target).float().mean()) == pytest.approx(1 / 24, abs=0.021)
    for labels in (source, target):
        assert len(labels.unique()) == 24
    # Seeds in a row share no face: the cartoons of one are not the shaded faces of the next.
    following = ShadedToCartoon(size=16, train=1500, validation=1, test=1, seed=1).load()
    assert not torch.equal(following.source_images.train.labels, target)
    assert not torch.equal(following.target_images.train.labels, target)


def test_equal_parameters_give_equal_digests_and_others_another_variant():
    pair, again = (ShadedToCartoon(**SMALL).load() for _ in range(2))
    others = [ShadedToCartoon(**(SMALL | new)).load() for new in ({"seed": 1}, {"size": 16})]
    assert pair.sha256 == again.sha256
    assert len({x.sha256 for x in (pair, *others)}) == 3
    assert [x.variant for x in (pair, *others)] == [
        "32-train40-validation20-test30",
        "32-train40-validation20-test30-seed1",
        "16-train40-validation20-test30",
    ]


def test_sizes_by_default():
    plain = ShadedToCartoon()
    assert (plain.size, plain.train, plain.validation, plain.test) == (32, 10_000, 1_000, 1_000)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 48}, "shaded-to-cartoon: size must be one of 16, 32, 64, got 48"),
        ({"train": 0}, "shaded-to-cartoon: train must be at least 1"),
        ({"seed": -1}, "shaded-to-cartoon: seed must be from 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(parameters, message):
    with pytest.raises(UsageError, match=message):
        ShadedToCartoon(**parameters)
