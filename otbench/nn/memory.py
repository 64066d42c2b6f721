"""Keep freed memory in the C library, because training allocates it again at once."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the process keep the memory of freed tensors instead of returning it to the system.

    On the CPU a training step allocates and frees the same activations of a few megabytes each.
    By default glibc returns such blocks to the system, and every step takes some ten thousand page
    faults to get them back. Results do not change, and peak memory hardly does.

    Returns
    -------
    bool
        Whether it took effect: False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        and mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)
    )
