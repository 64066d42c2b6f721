"""How long the worker itself takes for a cell: ``python worker_seconds.py REQUEST ...``.

Prints the mean in seconds, of workers started as those of a group are.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from otbench.run import group


def seconds_of(request: Path) -> float:
    """Run one cell in a copy of this process; return how long it worked."""
    from otbench.run import worker

    there, here = os.pipe()

    def timed() -> int:
        began = time.perf_counter()
        code = worker.main(request)
        os.write(here, repr(time.perf_counter() - began).encode())
        return code

    with (request.parent / "cell.log").open("wb") as log:
        assert group.Fork(timed, log).wait() == 0
    seconds = float(os.read(there, 100))
    os.close(there)
    os.close(here)
    return seconds


if __name__ == "__main__":
    group._load_what_workers_share()
    sys.stdout.write(f"{statistics.mean(map(seconds_of, map(Path, sys.argv[1:])))}\n")
