"""The local cache of assets: look up, verify, fetch.

Everything lies below ``OTBENCH_HOME`` (by default ``otbench`` in the user's cache folder):
``assets/<name>/`` holds verified files, ``manual/`` whatever the user puts there, ``partial/``
unfinished transfers. A file is moved into ``assets`` by a rename after its digest was checked, so
that a killed process leaves no incomplete file there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from otbench.assets.catalogue import Asset, lookup
from otbench.assets.files import File, NothingThere, SourceFailed
from otbench.assets.progress import say
from otbench.assets.source import Workspace
from otbench.assets.sources import USER_FOLDER, manual_folders
from otbench.errors import DataError
from otbench.home import home

__all__ = ["FileState", "digest", "fetch", "home", "path", "require", "verify"]

STAMPS = ".verified.json"


def path(name: str) -> Path:
    """Return the folder of an asset in the cache, whether or not it exists.

    Raises
    ------
    UsageError
        If there is no asset of that name.
    """
    return home() / "assets" / lookup(name).name


def digest(name: str) -> str:
    """Return one sha256 that identifies the files of an asset; no file is read.

    Raises
    ------
    UsageError
        If there is no asset of that name.
    """
    return lookup(name).digest


def require(name: str) -> Path:
    """Return the folder that holds the verified files of an asset, fetching them if need be.

    Sizes are compared each time; the digest is computed only for a file that has changed (in size
    or time) since it was last verified. A broken file is deleted and fetched again.

    Raises
    ------
    DataError
        If no source supplies a file; the message names the file and where to put it.
    UsageError
        If there is no asset of that name.
    """
    return fetch([name])[name]


def fetch(names: Iterable[str], offline: bool | None = None) -> dict[str, Path]:
    """Make sure that assets are in the cache.

    Parameters
    ----------
    names : iterable of str
    offline : bool, optional
        Try no source that needs the network; the default is set by OTBENCH_OFFLINE.

    Returns
    -------
    dict
        The folder of each asset.

    Raises
    ------
    DataError
        After all assets were tried, if some are not available.
    UsageError
        If there is no asset of that name; nothing is fetched then.
    """
    if offline is None:
        offline = os.environ.get("OTBENCH_OFFLINE", "").lower() not in ("", "0", "false", "no")
    assets = [lookup(name) for name in names]
    failures = []
    for asset in assets:
        try:
            if _missing(asset):
                _obtain(asset, offline)
        except DataError as error:
            failures.append(str(error))
        except OSError as error:
            raise DataError(
                f"{asset.name}: filling the cache {home()} failed: {error}. "
                "The variable OTBENCH_HOME may name another folder."
            ) from error
    if failures:
        raise DataError("\n".join(failures))
    return {asset.name: path(asset.name) for asset in assets}


@dataclass(frozen=True)
class FileState:
    """A result of ``verify``: the state is ``ok``, ``missing`` or ``broken``."""

    asset: str
    file: str
    path: Path
    state: str
    reason: str = ""


def verify(names: Iterable[str]) -> list[FileState]:
    """Compute the digest of every file of the assets; a broken file is deleted.

    Raises
    ------
    UsageError
        If there is no asset of that name.
    """
    states = []
    for asset in [lookup(name) for name in names]:
        for file in asset.files:
            place = path(asset.name) / file.name
            state, reason = "ok", ""
            try:
                file.check(place)
            except FileNotFoundError:
                state = "missing"
            except SourceFailed as fault:
                state, reason = "broken", str(fault)
                place.unlink(missing_ok=True)
            states.append(FileState(asset.name, file.name, place, state, reason))
    return states


def _missing(asset: Asset, discard: bool = False) -> list[File]:
    """Return the files that are missing or broken; on request delete the broken ones."""
    folder = path(asset.name)
    stamps = _read_stamps(folder)
    missing, verified = [], {}
    for file in asset.files:
        place = folder / file.name
        try:
            stamp = [place.stat().st_size, place.stat().st_mtime_ns, file.sha256]
            if stamps.get(file.name) != stamp or place.stat().st_size != file.size:
                file.check(place)
            verified[file.name] = stamp
        except FileNotFoundError:
            missing.append(file)
        except SourceFailed as fault:
            missing.append(file)
            if discard:
                say(f"{asset.name}: {fault}; thrown away")
                place.unlink(missing_ok=True)
    if verified and verified != stamps:
        _write_stamps(folder, verified)
    return missing


def _read_stamps(folder: Path) -> dict[str, list]:
    try:
        stamps = json.loads((folder / STAMPS).read_text())
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _write_stamps(folder: Path, stamps: dict[str, list]) -> None:
    # A shared read-only cache works, too: each process verifies it anew.
    with suppress(OSError):
        fresh = folder / f"{STAMPS}.{os.getpid()}"
        fresh.write_text(json.dumps(stamps))
        fresh.replace(folder / STAMPS)


def _obtain(asset: Asset, offline: bool) -> None:
    """Ask one source after the other until nothing is missing."""
    with _lock(asset), _workspace(asset) as workspace:
        # Another process may have fetched it while this one waited.
        missing = _missing(asset, discard=True)
        folder = path(asset.name)
        reasons: list[str] = []
        for number, source in enumerate(asset.sources):
            if not missing:
                break
            if offline and source.network:
                reasons.append(f"{source.label}: not tried, offline")
                continue
            # Files left behind by one source must not be mistaken for those of the next one.
            own = replace(workspace, scratch=workspace.scratch / str(number))
            own.scratch.mkdir()
            try:
                for file, found in source.supply(missing, own):
                    file.check(found)
                    found.replace(folder / file.name)
            except SourceFailed as fault:
                reasons.append(f"{source.label}: {fault}")
                if not isinstance(fault, NothingThere):
                    say(f"{asset.name}: {reasons[-1]}")
            missing = _missing(asset)
        if missing:
            raise DataError(_not_to_be_had(asset, missing, reasons))
        say(f"{asset.name}: ready in {folder}")


@contextmanager
def _workspace(asset: Asset) -> Iterator[Workspace]:
    """Make an empty scratch folder on the file system of the cache, and remove it afterwards."""
    scratch = home() / "scratch" / asset.name
    shutil.rmtree(scratch, ignore_errors=True)
    for folder in (scratch, home() / "partial", path(asset.name)):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield Workspace(scratch, home() / "partial", manual_folders(home()))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _lock(asset: Asset) -> Iterator[None]:
    """Let one process at a time fetch an asset."""
    from filelock import FileLock, Timeout

    place = home() / "locks" / f"{asset.name}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place)
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        say(f"{asset.name}: another process is fetching it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _not_to_be_had(asset: Asset, missing: Iterable[File], reasons: Iterable[str]) -> str:
    """Return the error that names the missing files, what was tried, and what the user can do."""
    manual = manual_folders(home())[-1] / asset.name
    lines = [f"{asset.name} is to be had from no source. Wanted:"]
    lines += [f"  {f.name}  sha256 {f.sha256}  {f.size:,} bytes" for f in missing]
    lines += ["Tried:", *(f"  {reason}" for reason in reasons)]
    instead = f", or the archive {' or '.join(asset.archives)}," if asset.archives else ""
    lines.append(
        f"Put the files, as they are or as .gz{instead} into {manual} (or into a folder that "
        f"{USER_FOLDER} names), and run the command again."
    )
    return "\n".join(lines)
