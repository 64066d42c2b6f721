from __future__ import annotations

import dataclasses

import numpy as np
import PIL.Image
import pytest
import torch

from otbench.errors import DataError, DataWarning, UsageError
from otbench_datasets.image_pairs.folder_pair import FolderPair
from otbench_datasets.images.folder import Folder


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.asarray(array, np.uint8)).save(path)


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def test_classes_from_sub_folders(tmp_path, draw):
    for label in ("cats", "dogs/small", "dogs/large"):
        for i in range(10):
            save(tmp_path / label / f"{i}.png", draw.integers(0, 256, (20, 20, 3)))
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    (tmp_path / "cats" / ".hidden.png").write_text("no image")
    with pytest.warns(DataWarning, match=r"left out 1 files that are not pictures \(\.txt 1\)$"):
        data = Folder(str(tmp_path)).load()
    assert data.classes == 2
    assert data.image_shape == (3, 32, 32)
    splits = (data.train, data.validation, data.test)
    assert sum(map(len, splits)) == 30
    assert all(split.labels.unique().tolist() == [0, 1] for split in splits)
    (tmp_path / "cats" / "notes.txt").unlink()
    assert Folder(str(tmp_path)).load().sha256 == data.sha256


def test_linked_classes_are_read_and_empty_ones_are_named(tmp_path, draw):
    for i in range(10):
        save(tmp_path / "photos" / "a" / f"{i}.png", draw.integers(0, 256, (8, 8)))
        save(tmp_path / "elsewhere" / f"{i}.png", draw.integers(0, 256, (8, 8)))
    photos = tmp_path / "photos"
    (photos / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (photos / "b" / "again").symlink_to(photos, target_is_directory=True)
    (photos / "c").mkdir()
    with pytest.warns(DataWarning, match=r"left out folders without pictures \(c\)"):
        data = Folder(str(photos), size=8).load()
    assert data.classes == 2
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 20


def test_sorted_poses_reach_every_split(tmp_path, draw):
    for subject in range(12):
        for pose in range(10):
            level = np.full((8, 8), 25 * pose) + draw.integers(0, 5, (8, 8))
            save(tmp_path / f"s{subject:02d}_p{pose}.png", level)
    data = Folder(str(tmp_path), size=8).load()
    for split in (data.train, data.validation, data.test):
        poses = (split.images.mean((1, 2, 3)) * 255 / 25).floor().unique()
        assert len(poses) >= 5


def test_a_flat_folder_has_no_labels(tmp_path, draw):
    for i in range(3):
        save(tmp_path / f"{i}.png", draw.integers(0, 256, (8, 8)))
    data = Folder(str(tmp_path), size=8).load()
    assert data.train.labels is None
    assert data.classes is None
    assert data.image_shape == (1, 8, 8)
    with PIL.Image.open(tmp_path / "0.png") as image:
        np.testing.assert_allclose(data.train.images[0, 0], np.asarray(image) / 255, atol=1e-6)


def test_the_middle_square_is_resized(tmp_path):
    wide = np.zeros((8, 16))
    wide[:, 4:12] = 200
    for i in range(3):
        save(tmp_path / f"{i}.png", wide)
    images = Folder(str(tmp_path), size=4).load().train.images
    torch.testing.assert_close(images, torch.full((1, 1, 4, 4), 200 / 255))


def test_sixteen_bits_keep_their_range(tmp_path):
    for i in range(3):
        PIL.Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / f"{i}.png")
    images = Folder(str(tmp_path), size=8).load().train.images
    torch.testing.assert_close(images, torch.full((1, 1, 8, 8), 40_000 / 65_535))


def test_gray(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", np.broadcast_to([255, 0, 0], (8, 8, 3)))
    images = Folder(str(tmp_path), gray=True).load().train.images
    # ITU-R 601-2: red counts 0.299.
    torch.testing.assert_close(images, torch.full((1, 1, 32, 32), 0.299), atol=2e-3, rtol=0)


def test_mixed_channels_are_named_and_gray_helps(tmp_path, draw):
    for i in range(5):
        save(tmp_path / f"{i}.png", draw.integers(0, 256, (8, 8) if i == 3 else (8, 8, 3)))
    with pytest.raises(DataError, match=r"3\.png has 1 channel.*gray=true"):
        Folder(str(tmp_path)).load()
    assert Folder(str(tmp_path), gray=True).load().image_shape == (1, 32, 32)


def test_palettes_and_transparency_are_colour(tmp_path, draw):
    save(tmp_path / "0.png", draw.integers(0, 256, (8, 8, 3)))
    save(tmp_path / "1.png", draw.integers(0, 256, (8, 8, 4)))
    colours = PIL.Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    colours.quantize(8).save(tmp_path / "2.png")
    assert Folder(str(tmp_path)).load().image_shape == (3, 32, 32)


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_broken_file_is_named(tmp_path, draw, damage):
    for i in range(4):
        save(tmp_path / f"{i}.png", draw.integers(0, 256, (30, 30)))
    broken = tmp_path / "2.png"
    content = broken.read_bytes()
    broken.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"hi"}[damage])
    with pytest.raises(DataError, match=r"2\.png is corrupt"):
        Folder(str(tmp_path)).load()


def test_a_file_too_large_to_trust_is_named(tmp_path, draw, monkeypatch):
    for i in range(3):
        save(tmp_path / f"{i}.png", draw.integers(0, 256, (30, 30)))
    monkeypatch.setattr("otbench_datasets.images.pictures.MOST_PIXELS", 500)
    with pytest.raises(DataError, match=r"0\.png has 900 pixels, 500 at most"):
        Folder(str(tmp_path)).load()


def test_one_image_is_too_few(tmp_path, draw):
    save(tmp_path / "only.png", draw.integers(0, 256, (8, 8)))
    with pytest.raises(DataError, match=r"only\.png"):
        Folder(str(tmp_path)).load()


def test_no_folder_no_image_no_path(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        Folder(str(tmp_path / "nowhere")).load()
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="contains no image"):
        Folder(str(tmp_path)).load()
    with pytest.raises(UsageError, match="folder:PATH"):
        Folder().load()
    with pytest.raises(UsageError, match="size"):
        Folder(str(tmp_path), size=0).load()


def test_doubtful_layouts_are_refused(tmp_path, draw):
    image = draw.integers(0, 256, (8, 8))
    save(tmp_path / "a" / "train" / "0.png", image)
    save(tmp_path / "a" / "test" / "0.png", image)
    with pytest.raises(DataError, match="splits, not classes"):
        Folder(str(tmp_path / "a")).load()
    save(tmp_path / "b" / "cats" / "0.png", image)
    save(tmp_path / "b" / "loose.png", image)
    with pytest.raises(DataError, match=r"loose\.png is next to"):
        Folder(str(tmp_path / "b")).load()


def test_the_path_is_the_first_parameter():
    assert dataclasses.fields(Folder)[0].name == "path"


# ------------------------------------------------------------------------------------- two folders
def classes(root, names, draw, shape=(8, 8, 3)):
    for label in names:
        for i in range(10):
            save(root / label / f"{i}.png", draw.integers(0, 256, shape))
    return str(root)


def test_a_pair_reads_each_folder_as_folder_does(tmp_path, draw):
    source, target = (classes(tmp_path / n, ("cats", "dogs"), draw) for n in ("photos", "comics"))
    pair = FolderPair(source, target, size=16).load()
    assert (pair.name, pair.variant) == ("folder-pair", "photos-to-comics-16")
    assert (pair.image_shape, pair.classes) == ((3, 16, 16), 2)
    for side, place in ((pair.source_images, source), (pair.target_images, target)):
        alone = Folder(place, size=16).load()
        for name in ("train", "validation", "test"):
            assert torch.equal(getattr(side, name).images, getattr(alone, name).images)
            assert torch.equal(getattr(side, name).labels, getattr(alone, name).labels)
    assert FolderPair(source, target, size=16).load().sha256 == pair.sha256
    assert FolderPair(target, source, size=16).load().sha256 != pair.sha256


@pytest.mark.parametrize("names", [("cats", "hens"), ("cats", "dogs", "hens"), ("",)])
def test_classes_of_other_names_are_no_modes(tmp_path, draw, names):
    source = classes(tmp_path / "a", ("cats", "dogs"), draw)
    pair = FolderPair(source, classes(tmp_path / "b", names, draw)).load()
    for side in (pair.source_images, pair.target_images):
        assert side.classes is None
        assert {part.labels for part in (side.train, side.validation, side.test)} == {None}
    assert pair.classes is None
    assert torch.equal(pair.source_images.test.images, Folder(source).load().test.images)


def test_a_pair_needs_two_folders_of_one_kind(tmp_path, draw):
    colour = classes(tmp_path / "a", ("",), draw)
    for given in ({}, {"source": colour}, {"target": colour}):
        with pytest.raises(UsageError, match=r"folder-pair\[source=PATH,target=PATH\]"):
            FolderPair(**given).load()
    with pytest.raises(DataError, match="nowhere is not a folder"):
        FolderPair(colour, str(tmp_path / "nowhere")).load()
    gray = classes(tmp_path / "b", ("",), draw, (8, 8))
    with pytest.raises(DataError, match=r"images of one shape.*3x32x32 and 1x32x32"):
        FolderPair(colour, gray).load()
    both = FolderPair(colour, gray, gray=True).load()
    assert (both.image_shape, both.variant) == ((1, 32, 32), "a-to-b-32-gray")
