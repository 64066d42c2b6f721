"""Which pictures are read, as what, and which are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from otbench.errors import DataError
from otbench_datasets.images.pictures import read_picture

SIDE = 16
RAMP = np.tile(np.linspace(0, 255, SIDE).round().astype(np.uint8), (SIDE, 1))
WANTED = torch.from_numpy(RAMP / 255).float()


def read(file: Path, **options: bool) -> torch.Tensor:
    return read_picture(file, SIDE, **{"gray": False} | options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "picture"


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm", ".gif", ".webp"])
def test_eight_bit_gray(file: Path, suffix: str):
    PIL.Image.fromarray(RAMP).save(file.with_suffix(suffix), lossless=True)
    # Pillow turns gray into a palette for GIF and into RGB for WebP.
    image = read(file.with_suffix(suffix), gray=True)
    assert torch.allclose(image[0], WANTED, atol=1 / 255)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_unsigned_bits_keep_their_range(file: Path, suffix: str):
    PIL.Image.fromarray(RAMP.astype(np.uint16) * 257).save(file.with_suffix(suffix))
    assert torch.allclose(read(file.with_suffix(suffix))[0], WANTED, atol=1e-4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "YCbCr", "P", "1", "LA"])
def test_modes_that_are_accepted(file: Path, mode: str):
    suffix = ".tif" if mode in ("CMYK", "YCbCr") else ".png"
    PIL.Image.fromarray(RAMP).convert("RGB").convert(mode).save(file.with_suffix(suffix))
    image = read(file.with_suffix(suffix), gray=True)[0]
    assert image[:, 0].mean() < 0.1
    assert image[:, -1].mean() > 0.9


@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (RAMP.astype(np.int32), "signed integers"),
        ((RAMP.astype(np.int64) * 8421504).astype(np.int32), "signed integers"),
        (RAMP.astype(np.float32), "floating-point"),
    ],
)
def test_tiff_without_a_known_range_is_refused(file: Path, pixels: np.ndarray, named: str):
    target = file.with_suffix(".tif")
    PIL.Image.fromarray(pixels).save(target)
    with pytest.raises(DataError, match=named) as caught:
        read(target)
    assert str(target) in str(caught.value)
    assert "accepted are" in str(caught.value)


def tiff(target: Path, sample_format: int, photometric: int, pixels: np.ndarray) -> None:
    """Write an uncompressed little-endian TIFF by hand, which Pillow does not for these kinds."""
    data = pixels.astype("<u2").tobytes()
    entries = [
        (256, 3, 1, pixels.shape[1]), (257, 3, 1, pixels.shape[0]), (258, 3, 1, 16),
        (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, 1),
        (278, 3, 1, pixels.shape[0]), (279, 4, 1, len(data)), (339, 3, 1, sample_format),
    ]  # fmt: skip
    table = len(entries).to_bytes(2, "little")
    for tag, kind, count, value in entries:
        table += b"".join(
            n.to_bytes(size, "little") for n, size in ((tag, 2), (kind, 2), (count, 4), (value, 4))
        )
    head = b"II*\0" + (8 + len(data)).to_bytes(4, "little")
    target.write_bytes(head + data + table + bytes(4))


def test_sixteen_bits_by_hand_are_read_where_unsigned_and_refused_where_not(file: Path):
    target = file.with_suffix(".tif")
    wide = RAMP.astype(np.uint16) * 257
    tiff(target, 1, 1, wide)
    assert torch.allclose(read(target)[0], WANTED, atol=1e-4)
    tiff(target, 2, 1, wide)
    with pytest.raises(DataError, match="signed"):
        read(target)
    tiff(target, 1, 0, wide)
    with pytest.raises(DataError, match="0 is white"):
        read(target)


def test_lab_is_refused_by_name(file: Path):
    target = file.with_suffix(".tif")
    PIL.Image.new("LAB", (SIDE, SIDE)).save(target)
    with pytest.raises(DataError, match="mode LAB"):
        read(target)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_a_viewer_shows_them(file: Path, orientation: int):
    """The ramp is stored so that applying the orientation must bring it back."""
    target = file.with_suffix(".png")
    image = PIL.Image.fromarray(np.ascontiguousarray(RAMP))
    undone = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = image if undone is None else image.transpose(PIL.Image.Transpose(undone))
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    stored.save(target, exif=exif)
    assert torch.allclose(read(target)[0], WANTED, atol=1e-6)


def test_transparency_is_dropped_or_laid_on_white(file: Path):
    target = file.with_suffix(".png")
    PIL.Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0)).save(target)
    assert read(target).max() == 0
    assert read(target, on_white=True).min() == 1
