"""``otbench compare``: paired comparison of two methods or two results folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from otbench.cli.results import read_results
from otbench.errors import UsageError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """\
examples:
  otbench compare ae path-energy                          every metric that both have
  otbench compare ae acai --metric kmeans_acc --dataset mnist
  otbench compare results-monday results-friday           method by method
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "compare",
        help="compare two methods, or two results folders, seed by seed",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", metavar="A", help="a method's label, or a results folder")
    parser.add_argument("b", metavar="B", help="another one")
    parser.add_argument(
        "--metric", action="append", metavar="NAME",
        help="only this metric: its id, or its name before the bracket; may be given again",
    )  # fmt: skip
    parser.add_argument("--dataset", metavar="NAME", help="only this data set")
    parser.add_argument("--preset", metavar="NAME", help="only this preset")
    parser.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR",
        help="the results folder that holds two methods; default: results",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code.

    Raises
    ------
    UsageError
        If a method or folder is unknown, or if the two have no value for the same seed.
    """
    from otbench.report.comparison import print_comparison
    from otbench.results.comparison import compare

    folders = Path(options.a).is_dir() and Path(options.b).is_dir()
    if folders:
        a, b = (_rows(Path(folder), options) for folder in (options.a, options.b))
    else:
        results = _rows(options.out, options)
        a, b = (_of_method(results, method) for method in (options.a, options.b))
    table = compare(a, b, options.metric, by_method=folders)
    if table.empty:
        raise UsageError(
            f"{options.a} and {options.b} share no value of one metric, data set and seed"
            + (f" among {', '.join(options.metric)}" if options.metric else "")
        )
    if options.json:
        sys.stdout.write(table.to_json(orient="records", indent=1) + "\n")
    else:
        print_comparison(table, options.a, options.b)
    return 0


def _rows(folder: Path, options: argparse.Namespace) -> pd.DataFrame:
    from otbench.results.asked import shown

    return shown(read_results(folder, options.dataset, options.preset), folder)


def _of_method(results: pd.DataFrame, method: str) -> pd.DataFrame:
    known = list(dict.fromkeys(results["method"]))
    if method not in known:
        raise UsageError(unknown_name("method or results folder", method, known))
    return results[results["method"] == method]
