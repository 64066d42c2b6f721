"""Sources that need no registry: a public mirror, a user's folder, an installed package."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from otbench.assets.files import File, NothingThere, SourceFailed, copy_plain
from otbench.assets.progress import say

if TYPE_CHECKING:
    from otbench.assets.carriers import Carrier

USER_FOLDER = "OTBENCH_DATA_DIR"


@dataclass(frozen=True)
class Room:
    """Where a source may write.

    Attributes
    ----------
    scratch : Path
        An empty folder that is removed afterwards; supplied files are left here.
    partial : Path
        A folder that is kept, for transfers to be resumed.
    manual : tuple of Path
        Folders of the user, to be read only.
    """

    scratch: Path
    partial: Path
    manual: tuple[Path, ...] = ()


class Source(Protocol):
    """Somewhere files come from."""

    @property
    def network(self) -> bool:
        """Whether it is out of reach without a network."""

    @property
    def label(self) -> str:
        """Its name in messages."""

    def supply(self, wanted: Sequence[File], room: Room) -> Iterator[tuple[File, Path]]:
        """Yield the wanted files one by one, each with its place below ``room.scratch``.

        The caller checks digests and takes each file away before it asks for the next.

        Raises
        ------
        SourceFailed
            With the reason why a file is not to be had here.
        """


def convert(converter: str | None, source: Path, file: File, room: Room) -> Path:
    """Turn what a source holds into the file in use, below ``room.scratch``.

    Parameters
    ----------
    converter : str or None
        ``module:function`` taking (source, target); None copies, uncompressing ``.gz``.
    """
    target = room.scratch / f"in-use-{file.name}"
    if converter is None:
        copy_plain(source, target, file)
        return target
    module, _, function = converter.partition(":")
    getattr(import_module(module), function)(source, target)
    return target


@dataclass(frozen=True)
class Mirror:
    """A public address below which each file lies under its own name.

    Attributes
    ----------
    address : str
        Ends in a slash.
    suffix : str
        Added to the names of the files in use; ``.gz`` is uncompressed.
    """

    address: str
    suffix: str = ""
    network: bool = True

    @property
    def label(self) -> str:
        """Return the address."""
        return self.address

    def supply(self, wanted: Sequence[File], room: Room) -> Iterator[tuple[File, Path]]:
        """Download file by file; see `Source.supply`."""
        from otbench.assets.download import download, part_for

        for file in wanted:
            url = f"{self.address}{file.name}{self.suffix}"
            part = part_for(url, room.partial)
            # A leftover of an interrupted transfer may be spoilt: then the file is read anew, once.
            for resumed in (part.exists(), False):
                download(url, part, limit=2 * file.size + 4096)
                whole = part.rename(room.scratch / f"{file.name}{self.suffix}")
                try:
                    found = convert(None, whole, file, room)
                    file.check(found)
                except SourceFailed as reason:
                    if not resumed:
                        raise
                    say(f"the resumed transfer of {url} was spoilt ({reason}); once more")
                else:
                    yield file, found
                    break


@dataclass(frozen=True)
class Manual:
    """The user's folders: the files as they are or as ``.gz``, or the archive of a carrier.

    Attributes
    ----------
    places : tuple of str
        Sub-folders to look into besides the folder itself.
    carriers : tuple of Carrier
        Whose archives are taken too.
    """

    places: tuple[str, ...]
    carriers: tuple[Carrier, ...] = ()
    network: bool = False

    @property
    def label(self) -> str:
        """Return a name for messages."""
        return "your own folder"

    def supply(self, wanted: Sequence[File], room: Room) -> Iterator[tuple[File, Path]]:
        """Copy what is there; see `Source.supply`."""
        folders = [f for base in room.manual for f in (*(base / p for p in self.places), base)]
        faults: list[str] = []
        missing = list(wanted)
        for carrier in self.carriers:
            for archive in _existing(folders, [carrier.archive]):
                try:
                    for file, found in carrier.unpack(archive, missing, room):
                        yield file, found
                        missing.remove(file)
                except SourceFailed as reason:
                    faults.append(f"{archive}: {reason}")
        for file in list(missing):
            for candidate in _existing(folders, [file.name, f"{file.name}.gz"]):
                try:
                    found = convert(None, candidate, file, room)
                    file.check(found)
                except SourceFailed as reason:
                    faults.append(f"{candidate}: {reason}")
                else:
                    yield file, found
                    missing.remove(file)
                    break
        if missing:
            where = ", ".join(str(base) for base in room.manual)
            nothing = f"no usable {', '.join(file.name for file in missing)} in {where}"
            if faults:
                raise SourceFailed("; ".join([*faults, nothing]))
            raise NothingThere(nothing)


def _existing(folders: Sequence[Path], names: Sequence[str]) -> list[Path]:
    return [f / name for f in folders for name in names if (f / name).is_file()]


def manual_folders(home: Path) -> tuple[Path, ...]:
    """Return the folders a user may put files into: OTBENCH_DATA_DIR, and ``manual`` at home."""
    own = os.environ.get(USER_FOLDER)
    return (*((Path(own).expanduser(),) if own else ()), home / "manual")


@dataclass(frozen=True)
class Installed:
    """A file inside an installed Python package, which is found without being imported.

    Attributes
    ----------
    package, member : str
        Import name, and the path below its folder.
    converters : dict
        For each file in use the ``module:function`` that makes it.
    """

    package: str
    member: str
    converters: dict[str, str]
    network: bool = False

    @property
    def label(self) -> str:
        """Return a name for messages."""
        return f"installed package {self.package}"

    def supply(self, wanted: Sequence[File], room: Room) -> Iterator[tuple[File, Path]]:
        """Convert the package's file; see `Source.supply`."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise SourceFailed(f"the package {self.package} is not installed")
        held = Path(spec.origin).parent / self.member
        if not held.is_file():
            raise SourceFailed(f"this version of {self.package} holds no {self.member}")
        for file in wanted:
            yield file, convert(self.converters[file.name], held, file, room)
