"""``otbench data fetch|verify|path``: the cache of data and weights."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from otbench.errors import DataError

MEANING = {
    "fetch": "make sure that assets are in the cache; without names, what the default run needs",
    "verify": "read the cached files whole and compare digests; broken ones are thrown away",
    "path": "print the folder of each asset",
}


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "data",
        help="fetch, verify and find data sets and weights",
        description="Data sets and weights: where they come from and where they lie. "
        "Everything is checked against a pinned sha256.",
        epilog="OTBENCH_HOME names the cache, OTBENCH_DATA_DIR a folder of your own that is looked "
        "into first, OTBENCH_OFFLINE=1 keeps off the network.",
    )
    parser.add_argument(
        "action", choices=list(MEANING), help="; ".join(f"{k}: {v}" for k, v in MEANING.items())
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="assets, or 'all'")
    parser.add_argument("--offline", action="store_true", help="try no source on the network")
    parser.add_argument("--json", action="store_true", help="print for machines")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code: 0, or 3 if a file is missing or broken.

    Raises
    ------
    UsageError
        If a given name is not that of an asset.
    DataError
        If no source provides an asset.
    """
    actions = {"fetch": _fetch, "verify": _verify, "path": _path}
    return actions[args.action](args)


def _names(args: argparse.Namespace, default: tuple[str, ...]) -> list[str]:
    from otbench.assets.catalogue import CATALOGUE, lookup

    if "all" in args.names:
        return list(CATALOGUE)
    return [lookup(name).name for name in dict.fromkeys(args.names or default)]


def _fetch(args: argparse.Namespace) -> int:
    from otbench.assets import store
    from otbench.assets.catalogue import DEFAULT

    folders = store.fetch(_names(args, DEFAULT), offline=True if args.offline else None)
    rows = [
        {"asset": name, "path": str(folder), "sha256": store.digest(name), "state": "ok"}
        for name, folder in folders.items()
    ]
    _print(args, rows, "{asset:15} {path}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from otbench.assets import store
    from otbench.assets.catalogue import CATALOGUE

    states = store.verify(_names(args, tuple(CATALOGUE)))
    if not args.names:
        # Without names, assets that were never fetched are not reported.
        held = {state.asset for state in states if state.state != "missing"}
        states = [state for state in states if state.asset in held]
    rows = [
        {
            "asset": s.asset,
            "file": s.file,
            "path": str(s.path),
            "state": s.state,
            "reason": s.reason,
        }
        for s in states
    ]
    _print(args, rows, "{state:8} {asset:15} {file} {reason}")
    faulty = list(dict.fromkeys(s.asset for s in states if s.state != "ok"))
    if faulty:
        sys.stderr.write(f"otbench: get them again with: otbench data fetch {' '.join(faulty)}\n")
    return DataError.exit_code if faulty else 0


def _path(args: argparse.Namespace) -> int:
    from otbench.assets import store
    from otbench.assets.catalogue import CATALOGUE, lookup

    rows = []
    for name in _names(args, tuple(CATALOGUE)):
        folder = store.path(name)
        there = all((folder / file.name).is_file() for file in lookup(name).files)
        rows.append({"asset": name, "path": str(folder), "state": "there" if there else "missing"})
    _print(args, rows, "{path}" if len(args.names) == 1 else "{state:8} {asset:15} {path}")
    named_but_missing = args.names and any(row["state"] == "missing" for row in rows)
    return DataError.exit_code if named_but_missing else 0


def _print(args: argparse.Namespace, rows: list[dict[str, Any]], line: str) -> None:
    if args.json:
        text = json.dumps(rows, indent=1)
    else:
        text = "\n".join(line.format(**row).rstrip() for row in rows)
    sys.stdout.write(f"{text}\n" if text else "")
