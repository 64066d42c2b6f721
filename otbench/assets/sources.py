"""Sources that need no registry: a public mirror, a user's folder, an installed package."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from otbench.assets.carriers import Carrier
from otbench.assets.files import File, NothingThere, SourceFailed
from otbench.assets.progress import say
from otbench.assets.source import Workspace, convert

USER_FOLDER = "OTBENCH_DATA_DIR"


@dataclass(frozen=True)
class Mirror:
    """A public address that serves each file under its own name.

    Attributes
    ----------
    address : str
        Ends in a slash.
    suffix : str
        Added to the names of the files in use; ``.gz`` is decompressed.
    """

    address: str
    suffix: str = ""
    network: bool = True

    @property
    def label(self) -> str:
        """Return the address."""
        return self.address

    def supply(self, wanted: Sequence[File], workspace: Workspace) -> Iterator[tuple[File, Path]]:
        """Download file by file; see `Source.supply`."""
        from otbench.assets.download import download, part_for

        for file in wanted:
            url = f"{self.address}{file.name}{self.suffix}"
            part = part_for(url, workspace.partial)
            # The remains of an interrupted transfer may be corrupt: fetch the file anew, once.
            for resumed in (part.exists(), False):
                download(url, part, limit=2 * file.size + 4096)
                whole = part.rename(workspace.scratch / f"{file.name}{self.suffix}")
                try:
                    found = convert(None, whole, file, workspace)
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
        Subfolders to search besides the folder itself.
    carriers : tuple of Carrier
        Carriers whose archives are accepted, too.
    """

    places: tuple[str, ...]
    carriers: tuple[Carrier, ...] = ()
    network: bool = False

    @property
    def label(self) -> str:
        """Return a name for messages."""
        return "your own folder"

    def supply(self, wanted: Sequence[File], workspace: Workspace) -> Iterator[tuple[File, Path]]:
        """Copy the files that are there; see `Source.supply`."""
        folders = [f for base in workspace.manual for f in (*(base / p for p in self.places), base)]
        faults: list[str] = []
        missing = list(wanted)
        for carrier in self.carriers:
            for archive in _existing(folders, [carrier.archive]):
                try:
                    for file, found in carrier.unpack(archive, missing, workspace):
                        yield file, found
                        missing.remove(file)
                except SourceFailed as reason:
                    faults.append(f"{archive}: {reason}")
        for file in list(missing):
            for candidate in _existing(folders, [file.name, f"{file.name}.gz"]):
                try:
                    found = convert(None, candidate, file, workspace)
                    file.check(found)
                except SourceFailed as reason:
                    faults.append(f"{candidate}: {reason}")
                else:
                    yield file, found
                    missing.remove(file)
                    break
        if missing:
            where = ", ".join(str(base) for base in workspace.manual)
            nothing = f"no usable {', '.join(file.name for file in missing)} in {where}"
            if faults:
                raise SourceFailed("; ".join([*faults, nothing]))
            raise NothingThere(nothing)


def _existing(folders: Sequence[Path], names: Sequence[str]) -> list[Path]:
    return [f / name for f in folders for name in names if (f / name).is_file()]


def manual_folders(home: Path) -> tuple[Path, ...]:
    """Return the folders for a user's own files: OTBENCH_DATA_DIR and ``OTBENCH_HOME/manual``."""
    own = os.environ.get(USER_FOLDER)
    return (*((Path(own).expanduser(),) if own else ()), home / "manual")


@dataclass(frozen=True)
class Installed:
    """A file in an installed Python package, which is located without importing it.

    Attributes
    ----------
    package, member : str
        Import name of the package, and the path inside its folder.
    converters : dict
        The ``module:function`` that makes each file in use.
    """

    package: str
    member: str
    converters: dict[str, str]
    network: bool = False

    @property
    def label(self) -> str:
        """Return a name for messages."""
        return f"installed package {self.package}"

    def supply(self, wanted: Sequence[File], workspace: Workspace) -> Iterator[tuple[File, Path]]:
        """Convert the package's file; see `Source.supply`."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise SourceFailed(f"the package {self.package} is not installed")
        held = Path(spec.origin).parent / self.member
        if not held.is_file():
            raise SourceFailed(f"this version of {self.package} holds no {self.member}")
        for file in wanted:
            yield file, convert(self.converters[file.name], held, file, workspace)
