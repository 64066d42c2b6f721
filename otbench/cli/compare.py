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
  otbench compare results-here results-there --rerun      do the printed intervals hold?
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
    parser.add_argument(
        "--rerun", action="store_true",
        help="two folders hold the same run, made on two machines: how many values of the second "
        "lie within the intervals printed of the first, and Kendall's tau of the methods' order",
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
    from otbench.results.record import LOST

    folders = Path(options.a).is_dir() and Path(options.b).is_dir()
    if options.rerun:
        return _rerun(options, folders)
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
        for name, rows in ((options.a, a), (options.b, b)):
            if number := int(rows.loc[rows["status"].isin(LOST), "cell"].nunique()):
                sys.stdout.write(f"{name}: {number} trainings collapsed or diverged, left out\n")
    return 0


def _rerun(options: argparse.Namespace, folders: bool) -> int:
    import json

    from otbench.results.rerun import agreement

    if not folders:
        raise UsageError("--rerun compares two results folders; name both")
    try:
        found = agreement(*(_rows(Path(folder), options) for folder in (options.a, options.b)))
    except ValueError as error:
        raise UsageError(f"{options.a} and {options.b}: {error}") from error
    if options.json:
        content = {
            "means": found.means, "means_within": found.means_within,
            "trainings": found.trainings, "trainings_within": found.trainings_within,
            "tau": found.tau, "lost": found.lost,
            "orders": json.loads(found.orders.to_json(orient="records")),
        }  # fmt: skip
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return 0
    for what, within, of in (
        ("values within the printed interval", found.means_within, found.means),
        ("trainings within the interval of one more", found.trainings_within, found.trainings),
    ):
        share = f" ({within / of:.0%})" if of else ""
        sys.stdout.write(f"{what}: {within} of {of}{share}\n")
    for row in found.orders.sort_values("tau").to_dict("records"):
        sys.stdout.write(
            f"  {row['dataset']}  {row['task']}/{row['metric']}: tau {row['tau']:.2f} "
            f"over {row['methods']} methods\n"
        )
    sys.stdout.write(f"mean Kendall tau: {found.tau:.2f}\n")
    sys.stdout.write(f"collapsed or diverged: {found.lost[0]} and {found.lost[1]} trainings\n")
    return 0


def _rows(folder: Path, options: argparse.Namespace) -> pd.DataFrame:
    from otbench.results.asked import shown

    return shown(read_results(folder, options.dataset, options.preset), folder)


def _of_method(results: pd.DataFrame, method: str) -> pd.DataFrame:
    known = list(dict.fromkeys(results["method"]))
    if method not in known:
        raise UsageError(unknown_name("method or results folder", method, known))
    return results[results["method"] == method]
