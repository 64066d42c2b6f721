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
    """The folders in which a source works.

    Attributes
    ----------
    scratch : Path
        An empty folder that is removed afterwards; supplied files are left here.
    partial : Path
        A folder that is kept, so that transfers can be resumed.
    manual : tuple of Path
        Folders of the user, which are only read.
    """

    scratch: Path
    partial: Path
    manual: tuple[Path, ...] = ()


class Source(Protocol):
    """A source of files."""

    @property
    def network(self) -> bool:
        """Whether the source needs a network."""

    @property
    def label(self) -> str:
        """Its name in messages."""

    def supply(self, wanted: Sequence[File], workspace: Workspace) -> Iterator[tuple[File, Path]]:
        """Yield the wanted files one by one, each with its place below ``workspace.scratch``.

        The caller checks digests and takes each file away before it asks for the next.

        Raises
        ------
        SourceFailed
            If a file is not available here; the message is the reason.
        """


def convert(converter: str | None, source: Path, file: File, workspace: Workspace) -> Path:
    """Convert a source's file into the file in use, below ``workspace.scratch``.

    Parameters
    ----------
    converter : str or None
        ``module:function`` taking (source, target); None copies, decompressing ``.gz``.
    """
    target = workspace.scratch / f"in-use-{file.name}"
    if converter is None:
        copy_plain(source, target, file)
        return target
    module, _, function = converter.partition(":")
    getattr(import_module(module), function)(source, target)
    return target
