"""CelebA and Cartoon Set on generated folders of their layout, and what is wrong with others."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from otbench.errors import DataError, UsageError
from otbench.interface import ImageDataset
from otbench_datasets.faces.cartoonset import CartoonSet
from otbench_datasets.faces.celeba import CelebA
from otbench_datasets.image_pairs.celeba_cartoonset import CelebACartoonSet
from otbench_datasets.images.user_images import by_index, capped

PHOTOS, CARTOONS = 23, 31

CSV = '"face_shape", {shape}, 7\n"face_color", {color}, 11\n"hair", {hair}, 111\n'


def smooth(draw: np.random.Generator, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Return bytes that change slowly, so that JPEG and resizing keep them."""
    coarse = draw.integers(0, 256, (5, 4, channels), dtype=np.uint8)
    image = PIL.Image.fromarray(coarse.squeeze())
    return np.asarray(image.resize((width, height), PIL.Image.Resampling.BICUBIC))


def write_photos(folder: Path, n: int = PHOTOS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for i in range(n):
        image = PIL.Image.fromarray(smooth(draw, 218, 178))
        image.save(folder / f"{i + 1:06d}.jpg", quality=95)
    return folder


def partition(turns: list[int]) -> str:
    return "".join(f"{i + 1:06d}.jpg {turn}\n" for i, turn in enumerate(turns))


def write_cartoons(folder: Path, n: int = CARTOONS, folders: bool = False) -> Path:
    draw = np.random.default_rng(1)
    for i in range(n):
        place = folder / str(i % 10) if folders else folder
        place.mkdir(parents=True, exist_ok=True)
        stem = place / f"cs{10_000 + 37 * i}"
        PIL.Image.fromarray(smooth(draw, 80, 80, 4)).save(stem.with_suffix(".png"))
        text = CSV.format(shape=i % 7, color=(5 * i) % 11, hair=i)
        stem.with_suffix(".csv").write_text(text)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Return a folder whose images lie in img_align_celeba, without a partition."""
    root = tmp_path_factory.mktemp("photos")
    write_photos(root / "img_align_celeba")
    return root


@pytest.fixture(scope="module")
def cartoons(tmp_path_factory) -> Path:
    return write_cartoons(tmp_path_factory.mktemp("cartoons"))


@pytest.fixture
def some_photos(tmp_path) -> Path:
    return write_photos(tmp_path / "celeba", 12)


@pytest.fixture
def some_cartoons(tmp_path) -> Path:
    return write_cartoons(tmp_path / "cartoonset", 12)


def parts(data: ImageDataset) -> list[int]:
    return [len(part) for part in (data.train, data.validation, data.test)]


def every(data: ImageDataset) -> torch.Tensor:
    return torch.cat([part.images for part in (data.train, data.validation, data.test)])


# ------------------------------------------------------------------------------------------ splits
def test_the_last_tenth_is_the_test_and_the_tenth_before_it_validation():
    for n in (3, 9, 10, 25, 100, 1001):
        files = [Path(str(i)) for i in range(n)]
        train, validation, test = by_index(Path("."), files)
        assert train + validation + test == files
        assert len(validation) == len(test) == max(1, n // 10)


@pytest.mark.parametrize("sizes", [(80, 10, 10), (1, 1, 30), (162, 19, 19), (3, 40, 2)])
def test_a_limit_keeps_the_first_of_each_split_in_proportion(sizes):
    whole = tuple([Path(f"{k}-{i}") for i in range(n)] for k, n in enumerate(sizes))
    total = sum(sizes)
    assert capped(whole, 0) == capped(whole, total) == capped(whole, total + 5) == whole
    for limit in range(3, total):
        kept = capped(whole, limit)
        assert limit - 2 <= sum(map(len, kept)) <= limit
        for part, few in zip(whole, kept, strict=True):
            assert few == part[: len(few)]
            assert abs(len(few) - limit * len(part) / total) < 3
            assert few


# ------------------------------------------------------------------------------------------ CelebA
def test_photographs_are_cut_and_resized_as_torchvision_does(photos):
    from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor

    data = CelebA(str(photos)).load()
    assert (data.name, data.image_shape, data.classes) == ("celeba", (3, 64, 64), None)
    assert data.train.labels is None
    usual = Compose([CenterCrop(178), Resize(64), ToTensor()])
    files = sorted((photos / "img_align_celeba").iterdir())
    wanted = torch.stack([usual(PIL.Image.open(file)) for file in files])
    # torchvision rounds to bytes.
    torch.testing.assert_close(every(data), wanted, atol=1.1 / 255, rtol=0)
    assert every(data).dtype == torch.float32


def test_without_a_partition_photographs_are_split_by_index(photos):
    data = CelebA(str(photos)).load()
    assert parts(data) == [19, 2, 2]
    assert data.variant == "64-unpartitioned"
    small = CelebA(str(photos), limit=10, size=32).load()
    assert small.variant == "32-limit10-unpartitioned"
    assert parts(small) == [8, 1, 1]
    assert torch.equal(small.test.images, CelebA(str(photos), 32).load().test.images[:1])


TURNS = [0, 2, 1, 0, 0, 2, 0, 1, 0, 2, 2, 0]


@pytest.mark.parametrize(
    ("inner", "named", "table", "text"),
    [
        ("", "", "list_eval_partition.txt", partition(TURNS)),
        ("img_align_celeba", "", "list_eval_partition.txt", partition(TURNS)),
        ("img_align_celeba", "img_align_celeba", "list_eval_partition.txt", partition(TURNS)),
        ("img_align_celeba/img_align_celeba", "", "list_eval_partition.txt", partition(TURNS)),
        ("", "", "../list_eval_partition.txt", partition(TURNS)),
        (
            "img_align_celeba",
            "",
            "list_eval_partition.csv",
            "image_id,partition\n" + partition(TURNS).replace(" ", ","),
        ),
    ],
)
def test_the_partition_decides_in_every_layout(tmp_path, inner, named, table, text):
    root = tmp_path / "celeba"
    write_photos(root / inner, 12)
    (root / table).write_text(text)
    data = CelebA(str(root / named), size=32).load()
    assert data.variant == "32"
    (root / table).unlink()
    plain = every(CelebA(str(root / named), size=32).load())
    for turn, part in enumerate((data.train, data.validation, data.test)):
        assert torch.equal(part.images, plain[torch.tensor(TURNS) == turn])


def test_photographs_of_other_sizes_lose_their_longer_ends(tmp_path):
    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, 32:96] = 180
    for i in range(3):
        PIL.Image.fromarray(wide).save(tmp_path / f"{i}.jpg", quality=100, subsampling=0)
    images = CelebA(str(tmp_path), size=32).load().train.images
    torch.testing.assert_close(
        images[..., 2:-2], torch.full((1, 3, 32, 28), 180 / 255), atol=0.02, rtol=0
    )


# -------------------------------------------------------------------------------------- Cartoon Set
def test_transparency_becomes_white(tmp_path):
    write_cartoons(tmp_path, 3)
    for file in tmp_path.glob("*.png"):
        pixels = np.zeros((64, 64, 4), np.uint8)
        pixels[:, :, 0] = 200
        pixels[:32, :, 3], pixels[32:, :, 3] = 51, 255
        PIL.Image.fromarray(pixels).save(file)
    image = CartoonSet(str(tmp_path)).load().train.images[0]
    # A fifth of (200, 0, 0) on four fifths of white above, opaque below.
    above = torch.tensor([(0.2 * 200 + 0.8 * 255) / 255, 0.8, 0.8])
    torch.testing.assert_close(image[:, 8, 8], above, atol=1 / 255, rtol=0)
    torch.testing.assert_close(image[:, 60, 60], torch.tensor([200 / 255, 0, 0]))


@pytest.mark.parametrize(
    ("attribute", "count"), [("face_color", 11), ("face_shape", 7), ("hair", 111)]
)
def test_labels_are_the_variants_in_the_files(cartoons, attribute, count):
    data = CartoonSet(str(cartoons), 32, attribute=attribute).load()
    texts = [file.read_text() for file in sorted(cartoons.glob("*.csv"))]
    wanted = [int(re.search(rf'"{attribute}", (\d+),', text)[1]) for text in texts]
    labels = torch.cat([part.labels for part in (data.train, data.validation, data.test)])
    assert labels.tolist() == wanted
    assert data.classes == count
    assert parts(data) == [25, 3, 3]
    assert data.variant == ("32" if attribute == "face_color" else f"32-attribute{attribute}")


def test_sub_folders_are_read_in_their_order(tmp_path, cartoons):
    nested = CartoonSet(str(write_cartoons(tmp_path, folders=True)), 32).load()
    flat = CartoonSet(str(cartoons), 32).load()
    order = sorted(range(CARTOONS), key=lambda i: (i % 10, i))
    assert torch.equal(every(nested), every(flat)[order])
    assert nested.train.labels.tolist() == [(5 * i) % 11 for i in order[:25]]


def test_the_digest_follows_images_labels_and_splits(some_photos, some_cartoons):
    photos, cartoons = CelebA(str(some_photos), 32), CartoonSet(str(some_cartoons), 32)
    digests = [photos.load().sha256, cartoons.load().sha256]
    (some_cartoons / "cs10111.csv").write_text('"face_color", 9, 11\n')
    digests.append(cartoons.load().sha256)
    (some_cartoons / "cs10111.png").write_bytes((some_cartoons / "cs10000.png").read_bytes())
    digests.append(cartoons.load().sha256)
    for turns in ([0] * 8 + [1, 1, 2, 2], [0] * 9 + [1, 2, 2]):
        (some_photos / "list_eval_partition.txt").write_text(partition(turns))
        digests.append(photos.load().sha256)
    assert len(set(digests)) == 6
    assert photos.load().sha256 == digests[-1]


# -------------------------------------------------------------------------------------------- pair
def test_the_pair(photos, cartoons):
    pair = CelebACartoonSet(str(photos), str(cartoons)).load()
    assert (pair.name, pair.image_shape) == ("celeba-cartoonset", (3, 64, 64))
    assert pair.variant == "64-unpartitioned"
    assert pair.classes is None
    assert (pair.source_images.classes, pair.target_images.classes) == (None, 11)
    assert pair.target_images.test.labels.shape == (3,)
    assert torch.equal(every(pair.source_images), every(CelebA(str(photos)).load()))
    assert torch.equal(every(pair.target_images), every(CartoonSet(str(cartoons)).load()))
    assert CelebACartoonSet(str(photos), str(cartoons)).load().sha256 == pair.sha256
    few = CelebACartoonSet(str(photos), str(cartoons), 32, 10, "hair").load()
    assert few.variant == "32-limit10-unpartitioned-attributehair"
    assert sum(parts(few.source_images)) == sum(parts(few.target_images)) == 10
    assert few.target_images.classes == 111
    assert few.sha256 != pair.sha256


@pytest.mark.parametrize("given", [{}, {"celeba": "somewhere"}, {"cartoonset": "somewhere"}])
def test_both_folders_are_asked_for(given):
    wanted = (
        r"name both folders, as celeba-cartoonset\[celeba=PATH,cartoonset=PATH\].*img_align.*cs"
    )
    with pytest.raises(UsageError, match=wanted):
        CelebACartoonSet(**given).load()


@pytest.mark.parametrize("cls", [CelebA, CartoonSet, CelebACartoonSet])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 48}, "size must be one of 32, 64, 128, got 48"),
        ({"limit": -1}, r"limit must be (0 \(all images\) or at least 3|at least 0)"),
        ({"limit": 2}, "limit must be .* got 2"),
    ],
)
def test_sizes_and_limits_that_cannot_be_are_refused(cls, parameters, message):
    with pytest.raises(UsageError, match=f"{cls.name}: {message}"):
        cls(**parameters)


@pytest.mark.parametrize("cls", [CelebA, CartoonSet])
def test_a_folder_is_named_and_there_and_full(tmp_path, cls):
    with pytest.raises(UsageError, match=rf"{cls.name}\[path=PATH\]"):
        cls().load()
    with pytest.raises(
        DataError, match=rf"{cls.name}: .*nowhere is not a folder; it should contain C"
    ):
        cls(str(tmp_path / "nowhere")).load()
    (tmp_path / "photo.gif").write_bytes(b"")
    (tmp_path / "._cs1.png").write_bytes(b"")
    (tmp_path / "._1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=rf"{cls.name}: {tmp_path} contains none of C.*(JPEG|cs\*)"):
        cls(str(tmp_path)).load()


def test_one_image_is_too_few(tmp_path):
    write_photos(tmp_path / "a", 1)
    with pytest.raises(DataError, match=r"too few images \(1, .*000001\.jpg.*at least three"):
        CelebA(str(tmp_path / "a")).load()
    write_cartoons(tmp_path / "b", 1)
    with pytest.raises(DataError, match=r"too few images \(1, .*cs10000\.png.*at least three"):
        CartoonSet(str(tmp_path / "b")).load()


def test_an_unreadable_image_is_named(some_photos, some_cartoons):
    for folder, name, cls in (
        (some_photos, "000005.jpg", CelebA),
        (some_cartoons, "cs10037.png", CartoonSet),
    ):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=rf"{name} is corrupt"):
            cls(str(folder)).load()


def test_gray_images_among_colour_are_named(some_photos, some_cartoons):
    gray = PIL.Image.fromarray(np.zeros((80, 80), np.uint8))
    gray.save(some_photos / "000007.jpg")
    with pytest.raises(DataError, match=r"000007\.jpg has 1 channel.*has 3.*remove the gray"):
        CelebA(str(some_photos)).load()
    gray.save(some_cartoons / "cs10074.png")
    with pytest.raises(DataError, match=r"cs10074\.png has 1 channel.*has 3"):
        CartoonSet(str(some_cartoons)).load()


def test_a_gray_side_does_not_fit_a_coloured_one(some_photos, cartoons):
    gray = PIL.Image.fromarray(np.zeros((80, 80), np.uint8))
    for file in some_photos.iterdir():
        gray.save(file)
    with pytest.raises(DataError, match=r"images of one shape.*1x32x32 and 3x32x32"):
        CelebACartoonSet(str(some_photos), str(cartoons), 32).load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("000001.jpg\n", r"line 1: wanted the name .* got '000001\.jpg'"),
        ("000001.jpg 0\n000002.jpg 3\n", "line 2: wanted .* 0 .training"),
        ("\n000001.jpg 0 0\n", "line 2: wanted"),
        (partition(TURNS[:9]), r"which split 000010\.jpg belongs to \(3 of 12 images"),
        (partition([0] * 11 + [1]), "leaves no test image among the 12"),
        ("", r"which split 000001\.jpg"),
    ],
)
def test_a_malformed_partition_is_named(some_photos, text, message):
    (some_photos / "list_eval_partition.txt").write_text(text)
    with pytest.raises(DataError, match=rf"list_eval_partition\.txt.*{message}"):
        CelebA(str(some_photos)).load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing: each image of Cartoon Set needs its .csv .* whole archive"),
        ('"face_color", 3\n', r"line 1: wanted an attribute, .* got 'face_color, 3'"),
        ('"hair", 3, 111\n"face_color", x, 11\n', "line 2: wanted"),
        ('"face_color", 11, 11\n', "line 1: wanted"),
        ('"face_color", -1, 11\n', "line 1: wanted"),
        ('"face_color", 3, 12\n', "counts 12 variants of face_color, but the files before it 11"),
    ],
)
def test_a_missing_or_malformed_attribute_file_is_named(some_cartoons, text, message):
    file = some_cartoons / "cs10111.csv"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(DataError, match=rf"cs10111\.csv.*{message}"):
        CartoonSet(str(some_cartoons)).load()


def test_an_unknown_attribute_is_answered_with_those_there_are(some_cartoons):
    with pytest.raises(UsageError, match="no attribute 'age', but face_shape, face_color, hair"):
        CartoonSet(str(some_cartoons), attribute="age").load()
