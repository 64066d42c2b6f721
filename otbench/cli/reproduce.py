"""``otbench reproduce``: run the cells for a figure or table of a paper, and judge its claims."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from otbench.cli.execution import add_execution, add_output, add_preset, execution_options, positive
from otbench.errors import UsageError

if TYPE_CHECKING:
    from otbench.reproduce.declaration import Reproduction

EPILOG = """\
examples:
  otbench reproduce --list
  otbench reproduce feng2024/fig2
  otbench reproduce feng2024 --seeds 5
  otbench reproduce all --preset paper --device cuda

Cells are shared with `otbench run` and kept: the same command again only judges. A claim that does
not hold is printed as failing and is no error; the exit code tells whether the cells ran.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "reproduce",
        help="test what a paper claims in a figure or table",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what to reproduce")
    what.add_argument("ids", nargs="*", metavar="ID", help="paper/part, a whole paper, or all")
    what.add_argument("--list", action="store_true", help="list what there is, and stop")
    add_preset(what)
    add_execution(parser.add_argument_group("how to run it"))
    add_output(parser.add_argument_group("output"))


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from otbench.reproduce.declaration import select

    if options.list:
        return _list(select(options.ids or ["all"], options.preset), options.out)
    if not options.ids:
        raise UsageError("name what to reproduce; otbench reproduce --list shows what there is")
    return _reproduce(select(options.ids, options.preset), options)


def _list(chosen: list[Reproduction], out: Path) -> int:
    from otbench.reproduce.report import last_verdicts

    width = max(len(one.id) for one in chosen)
    for one in chosen:
        verdicts = last_verdicts(one, out)
        done = f"  [{verdicts}]" if verdicts else ""
        sys.stdout.write(f"{one.id.ljust(width)}  {one.title}{done}\n")
    return 0


def _reproduce(chosen: list[Reproduction], options: argparse.Namespace) -> int:
    from otbench.report.live import Live
    from otbench.reproduce.index import write_index
    from otbench.reproduce.measure import sweeps_of
    from otbench.reproduce.report import present, print_summary
    from otbench.run.request import Request
    from otbench.run.runner import run as run_request

    settings = execution_options(options)
    seeds = positive("--seeds", options.seeds)
    planned = [sweeps_of(one, options.preset, seeds) for one in chosen]
    request = Request(
        sweeps=[sweep for sweeps in planned for sweep in sweeps],
        metrics=[],
        preset=options.preset,
        threads=positive("--threads", options.threads) or 1,
        device=options.device,
        here=settings.executor.here,
    )
    live = Live(quiet=options.quiet or options.json)
    outcome = run_request(request, settings, live)
    first, presented = 0, []
    for one, sweeps in zip(chosen, planned, strict=True):
        result = present(one, outcome, first, settings.out, options.preset)
        presented.append(result)
        if not options.json:
            result.print()
        first += len(sweeps)
    index = write_index(settings.out / "reproduce")
    if options.json:
        import json

        content = {"exit_code": outcome.exit_code, "reproductions": [r.content for r in presented]}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    else:
        if len(presented) > 1:
            print_summary(presented)
        sys.stdout.write(f"all reproductions: {index}\n")
    return outcome.exit_code
