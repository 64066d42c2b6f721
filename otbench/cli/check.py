"""``otbench check``: test a method against the interface."""

from __future__ import annotations

import argparse
import sys


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("check", help="test a method against the interface")
    parser.add_argument("method", help="its name, parameters in brackets")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE")


def run(options: argparse.Namespace) -> int:
    """Run the command; return 0 if all checks pass, otherwise 1."""
    from otbench.plugins.files import find_plugins
    from otbench.plugins.registry import Registry
    from otbench.plugins.selection import parse_one

    files = [plugin for path in options.plugin for plugin in find_plugins(path)]
    registry = Registry("methods", files)
    (spec, *_) = parse_one(options.method)
    plugin = registry.get(spec.name)

    from otbench.conformance import check_method

    failed = 0
    for result in check_method(plugin, spec):
        mark = "ok    " if result.problem is None else "FAILED"
        sys.stdout.write(f"{mark} {result.name}\n")
        if result.problem is not None:
            failed += 1
            sys.stdout.write(f"       {result.problem}\n")
    verdict = "conforms" if not failed else f"fails {failed} checks"
    sys.stdout.write(f"{spec.label} {verdict}\n")
    return 1 if failed else 0
