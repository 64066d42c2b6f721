"""``otbench leaderboard``: tables from existing records, without running anything."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from otbench.cli.results import read_results


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "leaderboard", help="print and write the tables of a results folder"
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--dataset", metavar="NAME", help="only this data set")
    parser.add_argument("--preset", metavar="NAME", help="only this preset")
    parser.add_argument("--json", action="store_true", help="print the leaderboard as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from otbench.report.terminal import print_tables
    from otbench.results.asked import shown
    from otbench.results.tables import leaderboard, write_tables

    results = shown(read_results(options.folder, options.dataset, options.preset), options.folder)
    if options.json:
        sys.stdout.write(leaderboard(results).to_json(orient="records", indent=1) + "\n")
        return 0
    keys = ["dataset", "variant", "preset", "track"]
    for key, part in results.groupby(keys, sort=False, dropna=False):
        heading = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
        sys.stdout.write(f"\n{heading}\n")
        sys.stdout.flush()
        print_tables(part)
    for path in write_tables(options.folder):
        sys.stdout.write(f"wrote {path}\n")
    return 0
