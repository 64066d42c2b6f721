"""A file with a known digest, and the error of a source that cannot supply it."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


class SourceFailed(Exception):
    """A source did not supply the wanted files; the message tells the user why."""


class NothingThere(SourceFailed):
    """An optional folder is empty; not reported while other sources remain."""


@dataclass(frozen=True)
class File:
    """A file as it is used, after any conversion.

    Attributes
    ----------
    name : str
        File name, without a folder.
    sha256 : str
        Hexadecimal digest of the whole content.
    size : int
        Bytes.
    """

    name: str
    sha256: str
    size: int

    def check(self, path: Path) -> None:
        """Raise SourceFailed unless the content of path is that of this file."""
        size = path.stat().st_size
        if size != self.size:
            raise SourceFailed(f"{path.name} has {size:,} bytes instead of {self.size:,}")
        check_sha256(path, self.sha256)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Raise SourceFailed unless the file has the expected sha256."""
    found = sha256_of(path)
    if found != expected:
        raise SourceFailed(f"{path.name} has the wrong sha256: {found} instead of {expected}")


def digest_of(files: Iterable[File]) -> str:
    """Return one sha256 that identifies several files, in any order; no file is read."""
    lines = sorted(f"{file.sha256}  {file.name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def copy_plain(source: Path, target: Path, file: File) -> None:
    """Copy a file, decompressing it if its name ends in ``.gz`` and the target's does not.

    Reading stops one byte after the expected size, so that a crafted archive cannot fill the disk.

    Raises
    ------
    SourceFailed
        If the source is not a complete gzip file.
    """
    unpack = source.suffix == ".gz" and target.suffix != ".gz"
    with source.open("rb") as raw, target.open("wb") as out:
        try:
            if unpack:
                with gzip.open(raw, "rb") as stream:
                    _copy(stream, out, file.size + 1)  # type: ignore[arg-type]
            else:
                _copy(raw, out, file.size + 1)
        except (OSError, EOFError, zlib.error) as error:
            if not unpack:
                raise
            raise SourceFailed(f"{source.name} is not a whole gzip file: {error}") from error


def _copy(source: BinaryIO, target: BinaryIO, limit: int) -> None:
    while limit > 0 and (chunk := source.read(min(CHUNK, limit))):
        target.write(chunk)
        limit -= len(chunk)
