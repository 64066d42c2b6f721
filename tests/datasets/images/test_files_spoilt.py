"""Whatever bytes a user's files hold: an error that names the file, or a value."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from otbench.assets.convert import idx_bytes
from otbench.errors import DataError
from otbench.ot.discrete.weak import _read_kept
from otbench.report.pictures import all_stored
from otbench_datasets.faces.cartoonset import read_attributes
from otbench_datasets.faces.celeba import read_partition
from otbench_datasets.images.idx import read_idx
from otbench_datasets.images.pictures import read_picture
from otbench_datasets.w2_benchmark.checkpoints import read_tensors
from tests.fuzzing import QUICKLY, ours_or_nothing, spoilt

SIDE = 12


def picture(suffix: str, mode: str) -> bytes:
    ramp = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))
    image = PIL.Image.fromarray(ramp)
    exif = PIL.Image.Exif()
    exif[0x112] = 6
    out = io.BytesIO()
    image.convert(mode).save(out, suffix, exif=exif)
    return out.getvalue()


def array_file(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def checkpoint(zipped: bool) -> bytes:
    out = io.BytesIO()
    state = {"a.weight": torch.ones(3, 2), "a.bias": torch.zeros(3)}
    torch.save(state, out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


PICTURES = [
    picture(suffix, mode)
    for suffix, mode in (
        *(("PNG", "L"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("TIFF", "RGB")),
        *(("TIFF", "L"), ("GIF", "P"), ("WEBP", "RGB"), ("BMP", "RGB"), ("PPM", "RGB")),
    )
]
IDX = idx_bytes(np.arange(24).reshape(2, 3, 4))
GALLERY = array_file(paths=np.zeros((1, 2, 3), np.uint8), source=np.ones((4, 2), np.float32))
SOLUTION = array_file(images=np.ones((2, 2)), variances=np.ones(2), cost=np.array(1.0))
TABLE = b'"face_color", 4, 11\n"hair", 0, 111\n'
PARTITION = b"image_id,partition\n000001.jpg 0\n000002.jpg 1\n"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spoilt") / "file"


@QUICKLY
@given(content=st.sampled_from(PICTURES).flatmap(spoilt), gray=st.booleans(), white=st.booleans())
def test_any_picture(content: bytes, gray: bool, white: bool, file: Path) -> None:
    file.write_bytes(content)
    with ours_or_nothing():
        image = read_picture(file, 8, gray, white)
        assert image.shape in ((1, 8, 8), (3, 8, 8))
        assert torch.isfinite(image).all()


@QUICKLY
@given(content=spoilt(IDX))
@example(content=b"\0\0\x08\x03" + b"\xff" * 12)
@example(content=b"\0\0\x08\xff" + b"\0" * 2000)
@example(content=b"\0\0\x08\0x")
def test_any_idx_file(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with ours_or_nothing():
        assert read_idx(file).numel() < len(content)


@QUICKLY
@given(content=spoilt(TABLE))
@example(content=b'"a", ' + b"9" * 5000 + b", 3")
@example(content=b'"a", \xd9\xa3, 7')
@example(content=b'"' + b"a" * 200_000)
@example(content=b"a\0b, 1, 2")
def test_any_table_of_attributes(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with ours_or_nothing():
        assert all(0 <= one < many for one, many in read_attributes(file).values())


@QUICKLY
@given(content=spoilt(PARTITION))
def test_any_partition(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with ours_or_nothing():
        assert set(read_partition(file).values()) <= {0, 1, 2}


@QUICKLY
@given(content=spoilt(GALLERY))
def test_any_gallery(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with ours_or_nothing():
        all_stored(file, lambda name: True)


@QUICKLY
@given(content=spoilt(SOLUTION))
def test_any_kept_solution(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    found = _read_kept(file)
    assert found is None or np.array_equal(found.images, np.ones((2, 2)))


@QUICKLY
@given(content=st.sampled_from([checkpoint(True), checkpoint(False)]).flatmap(spoilt))
def test_any_checkpoint(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    # What reads a release makes an error of the suite's of these two.
    with ours_or_nothing(ValueError, OSError):
        assert all(isinstance(value, np.ndarray) for value in read_tensors(file).values())


def test_what_is_no_file_is_named_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("folder", "absent"):
        with pytest.raises(DataError, match=name):
            read_idx(tmp_path / name)
    for name in ("pipe", "folder", "absent"):
        with pytest.raises(DataError, match=name):
            read_partition(tmp_path / name)
        with pytest.raises(DataError, match=name):
            read_picture(tmp_path / name, 8, False)


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


@pytest.mark.parametrize("side", [9_000, 30_000, 2**31 - 1])
def test_a_picture_that_unfolds_is_refused_before_it_takes_memory(
    side: int, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = zlib.compress(bytes(10_000_000))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    file.write_bytes(bomb)
    before = peak()
    with pytest.raises(DataError, match="pixels"):
        read_picture(file, 8, False)
    assert peak() - before < 50e6


def peak() -> float:
    """Return the most memory that this process ever used, in bytes."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
