"""Reading checkpoints of the Wasserstein-2 benchmark's release from a user's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from otbench.errors import DataError, UsageError

Read = TypeVar("Read")
Digest = Callable[[Path, str], None]


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence."""
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
    """Read a pair from files that have to lie in a folder.

    Parameters
    ----------
    dataset, parameters : str
        The data set's name and what stands in its brackets beside the folder, for messages.
    folder : str
        As the user gave it.
    names : sequence of str
        The files needed.
    place : str
        Where in the release, Wasserstein2Benchmark, they are.
    read : callable
        From the folder, and what each file with its sha256 has to be shown to, to the pair.
    released : mapping, optional
        The sha256 that files have to have, as far as they are known.

    Returns
    -------
    pair : Read
    digests : dict of str to str
        The sha256 of each file in use.

    Raises
    ------
    UsageError
        If no folder is given.
    DataError
        If a file is missing, not the release's, or not what it should be.
    """
    if not folder:
        raise UsageError(
            f"{dataset}: the checkpoints are not downloaded by otbench yet; put {listed(names)} of "
            f"the release Wasserstein2Benchmark into a folder and name it: "
            f'"{dataset}[{parameters},folder=PATH]". w2-icnn-pair needs no file.'
        )
    path = Path(folder).expanduser()
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise DataError(
            f"{dataset}: {path} lacks {listed(missing)}; put the release's {listed(missing)} "
            f"(Wasserstein2Benchmark, {place}) there"
        )
    digests: dict[str, str] = {}

    def check(file: Path, digest: str) -> None:
        digests[file.name] = digest
        wanted = (released or {}).get(file.name, digest)
        if digest != wanted:
            raise DataError(
                f"{dataset}: {file} is not the release's file: its sha256 is {digest}, "
                f"the release's {wanted}"
            )

    try:
        return read(path, check), digests
    except (ValueError, OSError) as error:
        raise DataError(f"{dataset}: {error}") from error
