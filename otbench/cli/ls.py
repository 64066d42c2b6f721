"""``otbench ls``: list methods, data sets, tasks, metrics, executors, presets."""

from __future__ import annotations

import argparse
import json
import sys

KINDS = ("methods", "datasets", "tasks", "metrics", "executors", "presets")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb and its options."""
    parser = subparsers.add_parser("ls", help="list methods, datasets, metrics and the like")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    rows, problems = _presets() if options.kind == "presets" else _plugins(options.kind)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        widths = [max(len(row[key]) for row in rows) for key in rows[0]]
        for row in rows:
            cells = (text.ljust(width) for text, width in zip(row.values(), widths, strict=True))
            sys.stdout.write("  ".join(cells).rstrip() + "\n")
    for problem in problems:
        sys.stderr.write(f"warning: {problem}\n")
    return 0


def _presets() -> tuple[list[dict[str, str]], list[str]]:
    from otbench.presets import PRESETS

    return [{"name": preset.name, "doc": preset.doc} for preset in PRESETS.values()], []


def _plugins(kind: str) -> tuple[list[dict[str, str]], list[str]]:
    from otbench.plugins.registry import Registry

    registry = Registry(kind)
    rows = []
    for name in registry.names():
        plugin = registry.get(name)
        rows.append({"name": name, "from": f"{plugin.distribution} {plugin.version}"})
    return rows, registry.problems
