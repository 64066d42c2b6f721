"""Archives stay in their folder, unfold no further than they may, and spoilt ones are named."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otbench.assets import carriers
from otbench.assets.carriers import Carrier, Member
from otbench.assets.files import File, SourceFailed, copy_plain, sha256_of
from otbench.assets.pickled import load_arrays
from otbench.assets.source import Workspace
from tests.fuzzing import QUICKLY, ours_or_nothing, spoilt

CONTENT = bytes(range(256)) * 8


def tgz(*members: tuple[str, bytes, bytes]) -> bytes:
    """Return a .tgz of members with name, type and content or target."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as package:
        for name, kind, content in members:
            item = tarfile.TarInfo(name)
            item.type = kind
            if kind == tarfile.REGTYPE:
                item.size = len(content)
                package.addfile(item, io.BytesIO(content))
            else:
                item.linkname = content.decode()
                package.addfile(item)
    return out.getvalue()


def wheel(content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as package:
        package.writestr("data/toy.bin", content)
        package.writestr("another", b"x" * 100)
    return out.getvalue()


TGZ = tgz(("data/toy.bin", tarfile.REGTYPE, CONTENT), ("another", tarfile.REGTYPE, b"x" * 100))
ARCHIVES = {
    ".tgz": TGZ,
    ".whl": wheel(CONTENT),
    ".lzma.whl": wheel(CONTENT, zipfile.ZIP_LZMA),
    ".stored.whl": wheel(CONTENT, zipfile.ZIP_STORED),
}


def unpacked(folder: Path, name: str, content: bytes) -> list[Path]:
    """Unpack an archive as if it were the one whose digest is known."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    archive = folder / name
    archive.write_bytes(content)
    toy = File("toy.bin", "0" * 64, len(CONTENT))
    member = Member("toy.bin", "data/toy.bin")
    carrier = Carrier("npm", "toy", "1", name, sha256_of(archive), 0.1, (member,))
    return [found for _, found in carrier.unpack(archive, [toy], Workspace(scratch, scratch))]


def outside(folder: Path) -> set[Path]:
    scratch = folder / "scratch"
    return {path for path in folder.rglob("*") if scratch not in path.parents}


@QUICKLY
@given(kind=st.sampled_from(list(ARCHIVES)), data=st.data())
def test_a_spoilt_archive_is_named(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, name = tmp_path_factory.mktemp("archive"), f"toy{kind}"
    content = data.draw(spoilt(ARCHIVES[kind]))
    with ours_or_nothing(SourceFailed):
        (found,) = unpacked(folder, name, content)
        assert found.parent == folder / "scratch"
        assert found.stat().st_size <= len(CONTENT) + 1
    assert outside(folder) == {folder / "scratch", folder / name}


@pytest.mark.parametrize(
    "members",
    [
        [("data/toy.bin", tarfile.SYMTYPE, b"/etc/hostname")],
        [("data/toy.bin", tarfile.SYMTYPE, b"../../../outside")],
        [("data/toy.bin", tarfile.LNKTYPE, b"another")],
        [("data/toy.bin", tarfile.CHRTYPE, b"")],
        [("data/toy.bin", tarfile.FIFOTYPE, b"")],
        [("data/toy.bin", tarfile.DIRTYPE, b"")],
        [("data", tarfile.SYMTYPE, b"/tmp"), ("data/other", tarfile.REGTYPE, CONTENT)],
        [("../data/toy.bin", tarfile.REGTYPE, CONTENT)],
        [("/data/toy.bin", tarfile.REGTYPE, CONTENT)],
    ],
    ids=lambda members: f"{members[0][0]} {members[0][1]!r}",
)
def test_links_devices_and_other_folders_are_not_followed(
    members: list[tuple[str, bytes, bytes]], tmp_path: Path
) -> None:
    with pytest.raises(SourceFailed, match=r"holds no data/toy.bin"):
        unpacked(tmp_path, "toy.tgz", tgz(*members))
    assert outside(tmp_path) == {tmp_path / "scratch", tmp_path / "toy.tgz"}
    assert not list((tmp_path / "scratch").iterdir())


def test_a_member_that_unfolds_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "MOST_UNPACKED", 3 << 20)
    zeros = bytes(50 << 20)
    for name, content in (
        ("toy.whl", wheel(zeros)),
        ("toy.tgz", tgz(("data/toy.bin", tarfile.REGTYPE, zeros))),
    ):
        assert len(content) < 1 << 20
        with pytest.raises(SourceFailed, match="larger than it can be"):
            unpacked(tmp_path, name, content)
        assert sum(path.stat().st_size for path in (tmp_path / "scratch").iterdir()) <= 3 << 20


@QUICKLY
@given(content=spoilt(gzip.compress(CONTENT)))
def test_a_spoilt_gz_file_is_named(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gz")
    (folder / "toy.bin.gz").write_bytes(content)
    with ours_or_nothing(SourceFailed):
        copy_plain(folder / "toy.bin.gz", folder / "toy.bin", File("toy.bin", "", len(CONTENT)))
    assert (folder / "toy.bin").stat().st_size <= len(CONTENT) + 1


TREE = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.ones(2, np.float64)}
PICKLES = [pickle.dumps(TREE, protocol) for protocol in range(6)]


@QUICKLY
@given(content=st.sampled_from(PICKLES).flatmap(spoilt))
def test_a_spoilt_pickle_is_refused_or_a_tree_of_arrays(content: bytes) -> None:
    with ours_or_nothing(SourceFailed):
        leaves = load_arrays(io.BytesIO(content))
        assert all(leaf.nbytes <= len(content) for leaf in leaves.values())


@pytest.mark.parametrize(
    "text",
    [
        # The number of an object for which the version in C makes room.
        b"\x80\x04]r\xff\xff\xff\x7f.",
        # An array of 2^40 numbers, by its constructor and by what NumPy writes.
        b"cnumpy\nndarray\n((I1099511627776\ntt\x81.",
        b"cnumpy\nndarray\n((I1099511627776\nttR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1099511627776\nt"
        b"c__builtin__\nbytes\n)RtR.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"(" * 100_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_pickle_that_unfolds_is_refused(text: bytes) -> None:
    with pytest.raises(SourceFailed):
        load_arrays(io.BytesIO(text))
