"""Reading of the Wasserstein-2 benchmark's released checkpoints from a folder of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from otbench.errors import DataError, UsageError

Read = TypeVar("Read")
Digest = Callable[[Path, str], None]


def listed(names: Sequence[str]) -> str:
    """Join names with commas and "and"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def read_release(
    dataset: str,
    parameters: str,
    folder: str,
    names: Sequence[str],
    place: str,
    read: Callable[[Path, Digest], Read],
    released: Mapping[str, str] | None = None,
) -> tuple[Read, dict[str, str]]:
    """Read a pair from checkpoints in a folder.

    Parameters
    ----------
    dataset, parameters : str
        Name of the data set and its parameters other than the folder, for messages.
    folder : str
        The folder as the user specified it.
    names : sequence of str
        The required files.
    place : str
        Location of the files in the release, Wasserstein2Benchmark.
    read : callable
        Returns the pair, given the folder and a function to be called with each file and its
        sha256.
    released : mapping, optional
        The known sha256 of the released files.

    Returns
    -------
    pair : Read
    digests : dict of str to str
        The sha256 of each file that was read.

    Raises
    ------
    UsageError
        If no folder is given.
    DataError
        If a file is missing, differs from the released file, or has the wrong contents.
    """
    if not folder:
        raise UsageError(
            f"{dataset}: otbench does not download these checkpoints; put {listed(names)} of "
            f"the release Wasserstein2Benchmark into a folder and specify it: "
            f'"{dataset}[{parameters},folder=PATH]". w2-icnn-pair needs no file.'
        )
    path = Path(folder).expanduser()
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise DataError(
            f"{dataset}: {path} lacks {listed(missing)}; put the released {listed(missing)} "
            f"(Wasserstein2Benchmark, {place}) there"
        )
    digests: dict[str, str] = {}

    def check(file: Path, digest: str) -> None:
        digests[file.name] = digest
        wanted = (released or {}).get(file.name, digest)
        if digest != wanted:
            raise DataError(
                f"{dataset}: {file} is not the release's file: its sha256 is {digest}, "
                f"that of the release is {wanted}"
            )

    try:
        return read(path, check), digests
    except (ValueError, OSError) as error:
        raise DataError(f"{dataset}: {error}") from error
