"""Markers of successful dry passes, so that the same checks are not computed again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from otbench.home import home
from otbench.interface.data import Data
from otbench.plugins.fingerprint import code_digest
from otbench.results.cell import canonical
from otbench.run.provenance import libraries

CHECKING = ("otbench.interface", "otbench.run.dry_pass", "otbench.scoring")
"""Modules and packages of the suite that affect a dry pass, besides tasks and metrics."""


def place_of(
    digests: Mapping[str, str],
    unavailable: Iterable[str],
    data: Data,
    data_code: str,
    device: str,
) -> Path:
    """Return the marker file, which exists if the same dry pass has succeeded before.

    Parameters
    ----------
    digests : mapping of str to str
        Digests of all scores in the pass, from `otbench.scoring.digests.score_digests`.
    unavailable : iterable of str
        Metrics that the pass omits.
    data : Data
    data_code : str
        Digest of the code of the data set.
    device : str

    Returns
    -------
    Path
        The name of the file is a digest of scores, data, device, versions of libraries and Python,
        and the code of the dry pass.
    """
    content = {
        "scores": dict(digests),
        "unavailable": sorted(unavailable),
        "data": [data.sha256, data.variant, data_code],
        "device": device,
        "libraries": libraries(),
        "python": platform.python_version(),
        "code": code_digest("otbench.run.dry_pass", shared=CHECKING),
    }
    name = hashlib.sha256(canonical(content).encode()).hexdigest()
    return home() / "dry-passes" / name


def remember(place: Path) -> None:
    """Create the marker file; if it cannot be written, the pass is computed again next time."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
