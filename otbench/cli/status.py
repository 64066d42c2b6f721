"""``otbench status``: the progress of a run in another process."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from otbench.errors import UsageError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("status", help="tell how far a run is, from another terminal")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code.

    Raises
    ------
    UsageError
        If the folder does not exist, or is not a results folder.
    """
    from otbench.results.status import RUNNING, WAITING, seconds_left, standings

    if not (options.folder / "cells").is_dir():
        raise UsageError(
            f"{options.folder} is no results folder; name the one that --out of the run named"
        )
    cells = standings(options.folder)
    left = seconds_left(cells)
    counts = Counter(one.state for one in cells)
    if options.json:
        content = {
            "counts": counts,
            "seconds_left": left,
            "cells": [
                {
                    "dataset": one.cell.dataset, "method": one.cell.method,
                    "preset": one.cell.preset, "seed": one.cell.seed, "state": one.state,
                    "stage": one.stage, "seconds": one.seconds, "reason": one.reason,
                }
                for one in cells
            ],
        }  # fmt: skip
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return 0
    from otbench.report.live import duration

    for one in cells:
        if one.state not in ("ok", WAITING):
            since = f", {duration(one.seconds)}" if one.state == RUNNING and one.seconds else ""
            said = one.stage if one.state == RUNNING else one.reason
            name = f"{one.cell.dataset}  {one.cell.method}  seed {one.cell.seed}"
            sys.stdout.write(f"{name}  {one.state}{since}{f': {said}' if said else ''}\n")
    parts = [f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"]
    parts += [f"{number} {state}" for state, number in counts.most_common()]
    if left is not None:
        parts.append(f"about {duration(left)} left")
    sys.stdout.write(", ".join(parts) + "\n")
    return 0
