"""Huge pages for what a process has loaded, so that it is copied quickly."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

MADV_COLLAPSE = 25
HUGE = 2 * 2**20
_ANONYMOUS = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0\s*(?:\[heap\])?")


def use_huge_pages() -> int:
    """Put the memory of this process that no file backs into huge pages, as far as it goes.

    With torch loaded it is some 280 MB. A fork has to copy an entry for each page of it, and the
    end of the copy to remove them again: with small pages that takes longer than a small cell.

    Returns
    -------
    int
        Pages of 2 MiB that are huge now; 0 where the system does not do it (Linux before 6.1,
        other systems).
    """
    maps = Path("/proc/self/maps")
    if not sys.platform.startswith("linux") or not maps.exists():
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    found = filter(None, map(_ANONYMOUS.fullmatch, maps.read_text().splitlines()))
    ranges = [(int(match[1], 16), int(match[2], 16)) for match in found]
    return sum(
        madvise(start, HUGE, MADV_COLLAPSE) == 0
        for first, last in ranges
        for start in range(-(-first // HUGE) * HUGE, last - HUGE + 1, HUGE)
    )
