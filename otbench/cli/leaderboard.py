"""``otbench leaderboard``: tables from existing records, without running anything."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from otbench.cli.results import read_results

if TYPE_CHECKING:
    import pandas as pd


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "leaderboard", help="print and write the tables of a results folder"
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--dataset", metavar="NAME", help="only this data set")
    parser.add_argument("--preset", metavar="NAME", help="only this preset")
    parser.add_argument(
        "--raw", type=Path, metavar="DIR",
        help="write the rows behind the tables, with machine and versions, as the reference runs "
        "of the suite are kept; on the machine that ran them",
    )  # fmt: skip
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
    written = write_tables(options.folder)
    if options.raw:
        written += _write_raw(results, options.raw)
    for path in written:
        sys.stdout.write(f"wrote {path}\n")
    return 0


def _write_raw(results: pd.DataFrame, folder: Path) -> list[Path]:
    from otbench.results.cell import slug
    from otbench.results.shipped import write_shipped
    from otbench.run.provenance import machine, provenance

    written = []
    for dataset, part in results.groupby("dataset", sort=False):
        about = {
            "commands": [_command(own) for _, own in part.groupby("preset", sort=False)],
            "machine": {name: value for name, value in machine().items() if name != "python"},
            "versions": {
                "python": provenance()["python"], **provenance()["packages"],
                "otbench-suite": ", ".join(sorted(set(part["otbench_version"].dropna()))),
            },
            "commits": sorted(set(part["commit"].dropna())),
        }  # fmt: skip
        written += write_shipped(part, slug(str(dataset)), about, folder)
    return written


def _command(rows: pd.DataFrame) -> str:
    """Return a command that runs the cells of the rows again."""
    import shlex

    preset, _, steps = str(rows["preset"].iloc[0]).partition("-")
    methods = dict.fromkeys(rows["method"])
    return shlex.join(
        [
            "otbench", "run", "--methods", *methods, "--dataset", rows["dataset"].iloc[0],
            "--preset", preset, "--seeds", str(int(rows["seed"].max()) + 1),
            *(["--steps", steps] if steps else []),
        ]
    )  # fmt: skip
