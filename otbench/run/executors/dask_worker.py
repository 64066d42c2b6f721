"""What a Dask worker does for a cell, and what travels where it does not see the results folder.

Cells run in processes of their own, started by a `Group` that each thread of the worker keeps for
the length of a run. Files travel as bytes, by name; nothing of ours is pickled.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otbench.results.cell import read_json
from otbench.run.executors.grouped import Group

SENT = ("cell.json", "record.json")
"""What a worker gets of a cell's folder, beside the request and, where it is scored, the model."""

RETURNED = ("cell.log", "gallery.npz", "record.json")
"""What comes back, the record last."""

MODEL = "model"
LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class _Held:
    """The group of a thread, with what it is for, and a lock that is held while cells run in it."""

    group: Group
    use: tuple[str, int, bool]
    lock: threading.Lock


_own = threading.local()
_groups: dict[str, list[_Held]] = {}
_registering = threading.Lock()


def sees(marker: str) -> bool:
    """Tell whether a file is there, which says that the results folder is."""
    return Path(marker).exists()


def run_cell(
    run: str,
    marker: str,
    request: str,
    files: dict[str, bytes] | None,
    threads: int,
    timeout: float | None,
    with_model: bool,
) -> dict[str, bytes] | None:
    """Run one cell; called by a Dask worker.

    Parameters
    ----------
    run : str
        Names the run, and the topic of its progress.
    marker : str
        Path of a file that exists where the results folder is the one of the run.
    request : str
        Path of the request.
    files : dict of str to bytes or None
        The request and what belongs to it, for a worker that does not see the results folder.
    threads : int
        CPU threads of the cell.
    timeout : float or None
        Seconds.
    with_model : bool
        Whether the trained model comes back too.

    Returns
    -------
    dict of str to bytes or None
        The files of the finished cell; None where they lie in the results folder already.
    """
    path = Path(request)
    if sees(marker):
        _run(run, path, threads, timeout, offline=True)
        return None
    if files is None:
        raise RuntimeError(f"this worker does not see {path.parent}, which other workers see")
    with tempfile.TemporaryDirectory(prefix="otbench-") as folder:
        place = Path(folder) / path.parent.name
        unpack(files, place)
        # Data were fetched on the other machine; here they may have to be, and are checked by
        # their digest.
        offline = bool(os.environ.get("OTBENCH_OFFLINE"))
        _run(run, place / path.name, threads, timeout, offline, relay=request)
        return pack(place, RETURNED, with_model)


def _run(
    run: str, request: Path, threads: int, timeout: float | None, offline: bool, relay: str = ""
) -> None:
    held = _held_by_this_thread(run, threads, offline)
    with held.lock:
        held.group.ask([request], timeout)
        while not held.group.answers(LOOK_SECONDS):
            if not held.group.alive:
                code = held.group.close()
                raise RuntimeError(f"the process that runs cells ended with code {code}")
            if relay:
                _relay(run, request, relay)


def _held_by_this_thread(run: str, threads: int, offline: bool) -> _Held:
    # Not shared with other threads: Linux ends a child with the thread that started it.
    held: _Held | None = getattr(_own, "held", None)
    if held is None or not held.group.alive or held.use != (run, threads, offline):
        if held is not None:
            held.group.close()
        use = (run, threads, offline)
        held = _own.held = _Held(Group(threads, offline), use, threading.Lock())
        with _registering:
            _groups.setdefault(run, []).append(held)
    return held


def _relay(run: str, request: Path, name: str) -> None:
    """Send the progress of a cell to whoever listens to this run."""
    from distributed import get_worker

    try:
        progress = read_json(request.parent / "progress.json")
    except (OSError, ValueError):
        return
    get_worker().log_event(run, {"request": name, "progress": progress})


def close_run(run: str) -> None:
    """End all that this worker runs for a run; called when the run ends or is stopped."""
    with _registering:
        all_held = _groups.pop(run, [])
    for held in all_held:
        held.group.process.kill()
        # The thread that waits for it notices.
        with held.lock:
            held.group.close()


def pack(folder: Path, names: tuple[str, ...], with_model: bool) -> dict[str, bytes]:
    """Return some files of a cell's folder, by name, and those of its model.

    Parameters
    ----------
    folder : Path
    names : tuple of str
        Those that do not exist are left out.
    with_model : bool
    """
    paths = [folder / name for name in names if (folder / name).is_file()]
    if with_model:
        paths += sorted(path for path in (folder / MODEL).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def unpack(files: dict[str, bytes], folder: Path) -> None:
    """Write what `pack` returned below a folder.

    Raises
    ------
    ValueError
        If a name leads out of the folder.
    """
    inside = folder.resolve()
    for name, content in files.items():
        path = (inside / name).resolve()
        if not path.is_relative_to(inside):
            raise ValueError(f"a file is called {name!r}, which is not below the cell's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def known_names(files: dict[str, Any]) -> bool:
    """Tell whether these are files that a cell's folder gets back, and no others."""
    return all(name in RETURNED or name.startswith(f"{MODEL}/") for name in files)
