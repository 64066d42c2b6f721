"""Download of one file from a public address, resumed where an earlier attempt stopped."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from otbench.assets.files import CHUNK, SourceFailed
from otbench.assets.progress import say, transfer

# Seconds to connect, and between two reads. A machine without a network should not wait long.
TIMEOUT = (4.0, 30.0)
ATTEMPTS = 3

SLOWEST, WINDOW = 5_000, 30.0
"""Bytes a second below which a source is given up, and the seconds over which they are counted."""


def part_for(url: str, folder: Path) -> Path:
    """Return the path of an address's unfinished transfer; it has the suffix of the address."""
    name = Path(urlsplit(url).path).name
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-part-{name}"


def download(url: str, part: Path, limit: int) -> None:
    """Fetch an address into a file; bytes that the file holds already are not requested again.

    Parameters
    ----------
    url : str
    part : Path
        Kept if the transfer breaks, so that the next attempt, or the next run, can resume it.
    limit : int
        Largest size accepted, in bytes.

    Raises
    ------
    SourceFailed
        If nothing answers, the answer is an error, the transfer broke three times, or it is slower
        than `SLOWEST`.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if _transfer(url, part, limit):
                return
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            broke = isinstance(error, urllib3.exceptions.HTTPError)
            if not broke or attempt == ATTEMPTS:
                raise SourceFailed(reason_of(error)) from error
            say(f"{url} broke off ({reason_of(error)}); resuming")
    raise SourceFailed("the server refuses to send the whole file")


def _transfer(url: str, part: Path, limit: int) -> bool:
    """Make one request; return whether the file is complete."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            if answer.headers.get("Content-Range") == f"bytes */{have}":
                return True
            part.unlink()
            return False
        answer.raise_for_status()
        begins = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        resumed = answer.status_code == requests.codes.partial_content and begins
        done = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else None
        with (
            part.open("ab" if resumed else "wb") as out,
            transfer(f"fetching {url}", total, done) as advance,
        ):
            # Read the raw stream: a .gz file that the server labels as encoded must stay packed.
            # And what has come, however little: a server that drips is noticed in time.
            rate = _Rate()
            while chunk := answer.raw.read1(CHUNK, decode_content=False):
                rate.count(len(chunk))
                done += len(chunk)
                if done > limit:
                    break
                out.write(chunk)
                advance(len(chunk))
    if done > limit:
        part.unlink()
        raise SourceFailed(f"the answer is larger than the {limit:,} bytes expected at most")
    return True


class _Rate:
    """Gives up a transfer that is slower than `SLOWEST`."""

    def __init__(self) -> None:
        self._since, self._bytes = time.monotonic(), 0

    def count(self, arrived: int) -> None:
        self._bytes += arrived
        seconds = time.monotonic() - self._since
        if seconds < WINDOW:
            return
        rate = self._bytes / seconds
        if rate < SLOWEST:
            raise SourceFailed(
                f"given up at {rate / 1000:.1f} kB/s; what has come is kept, and below "
                f"{SLOWEST / 1000:g} kB/s another source is tried"
            )
        self._since, self._bytes = time.monotonic(), 0


def reason_of(error: Exception) -> str:
    """Return a short description of a network error."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    text = str(error)
    if any(sign in text for sign in ("resolve", "getaddrinfo", "name resolution")):
        return "the host name cannot be resolved (no network?)"
    return f"{type(error).__name__}: {text[:160]}"
