"""The contract of sources of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from otbench.assets.files import File, copy_plain


@dataclass(frozen=True)
class Workspace:
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

    def supply(self, wanted: Sequence[File], workspace: Workspace) -> Iterator[tuple[File, Path]]:
        """Yield the wanted files one by one, each with its place below ``workspace.scratch``.

        The caller checks digests and takes each file away before it asks for the next.

        Raises
        ------
        SourceFailed
            With the reason why a file is not to be had here.
        """


def convert(converter: str | None, source: Path, file: File, workspace: Workspace) -> Path:
    """Convert a source's file into the file in use, below ``workspace.scratch``.

    Parameters
    ----------
    converter : str or None
        ``module:function`` taking (source, target); None copies, uncompressing ``.gz``.
    """
    target = workspace.scratch / f"in-use-{file.name}"
    if converter is None:
        copy_plain(source, target, file)
        return target
    module, _, function = converter.partition(":")
    getattr(import_module(module), function)(source, target)
    return target
