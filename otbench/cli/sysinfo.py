"""``otbench sysinfo``: versions and hardware, as stored with results."""

from __future__ import annotations

import argparse
import json
import sys


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("sysinfo", help="versions and hardware")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from otbench.run.provenance import machine, provenance

    content = {**machine(), **provenance()}
    if options.json:
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return 0
    packages = content.pop("packages")
    for name, value in {**content, **packages}.items():
        sys.stdout.write(f"{name:16} {value if value is not None else '-'}\n")
    return 0
