"""``otbench run``: train and score methods on data sets."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otbench import presets
from otbench.cli.execution import (
    add_execution,
    add_output,
    add_preset,
    execution_options,
    positive,
    seconds,
)
from otbench.errors import UsageError, describe, unknown_name
from otbench.results.record import LOST
from otbench.run.config import read_config
from otbench.run.request import Request, Sweep
from otbench.run.trail import IMPORT, Stage

if TYPE_CHECKING:
    import pandas as pd

    from otbench.report.live import Live
    from otbench.run.runner import Outcome

USUAL_VARIANTS = ("full", "default", "drawn")
"""Variants of a data set that are not printed."""

EPILOG = """\
examples:
  otbench run --methods all --dataset mnist
  otbench run --methods ae,acai --dataset digits --seeds 5 --jobs 2
  otbench run --methods ae "path-energy[alpha=[1,3,10]]" --timeout 2h
  otbench run --methods all --metrics "fid[inception-2048]"       more metrics, no new training
  otbench run --plugin my_method.py --methods my-method,ae
  otbench run --methods all --dataset folder:photos --config nightly.yml

The same command again reuses every finished cell.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "run",
        help="train and score methods on data sets",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--methods", nargs="+", metavar="NAME", default=["all"],
        help="methods, separated by commas or spaces: name[parameter=value], all, 'w2-*', "
        "'all,-acai'; default: all",
    )  # fmt: skip
    what.add_argument(
        "--dataset", "--datasets", nargs="+", metavar="NAME", default=["mnist"], dest="datasets",
        help="data sets, likewise; default: mnist",
    )  # fmt: skip
    add_preset(what)
    what.add_argument("--seed", type=int, metavar="S", help="this one seed only")
    what.add_argument("--steps", type=int, metavar="N", help="updates, in place of the preset's")
    what.add_argument(
        "--metrics", nargs="+", default=[], metavar="NAME",
        help="metrics besides the preset's, such as fid[inception-2048]",
    )  # fmt: skip
    what.add_argument(
        "--plugin", action="append", default=[], metavar="FILE",
        help="a Python file with methods or data sets; may be given again",
    )  # fmt: skip
    how = parser.add_argument_group("how to run it")
    add_execution(how)
    how.add_argument(
        "--fit-seconds", type=float, metavar="S", help="cap on a training; makes results "
        "depend on the machine",
    )  # fmt: skip
    output = parser.add_argument_group("output and settings")
    add_output(output)
    output.add_argument("--config", type=Path, metavar="FILE", help="YAML with the same keys")
    output.add_argument("--dry-run", action="store_true", help="list the cells and stop")
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    if options.config:
        options = _with_config(options)
    from otbench.plugins.files import find_plugins
    from otbench.report.live import Live
    from otbench.run.checks import preflight
    from otbench.run.runner import check_names, prepare
    from otbench.run.runner import run as run_request

    settings = execution_options(options)
    check_seconds = seconds("--check-timeout", options.check_timeout)
    files = [find_plugins(path, check_seconds) for path in options.plugin]
    steps = positive("--steps", options.steps)
    request = Request(
        sweeps=[Sweep(options.methods, options.datasets, _seeds(options), steps)],
        metrics=options.metrics,
        preset=options.preset,
        seconds=options.fit_seconds,
        threads=positive("--threads", options.threads) or 1,
        device=options.device,
        here=settings.executor.here,
        files=[asdict(plugin) for found in files for plugin in found.plugins],
        check_seconds=check_seconds,
        avoid={
            str(Stage(IMPORT, "method", plugin.name)): found.problem
            for found in files
            if found.problem
            for plugin in found.plugins
        },
    )
    live = Live(quiet=options.quiet or options.json)
    if options.dry_run:
        check_names(request)
        for job in prepare(preflight(request), settings)[0]:
            state = "done" if job.record() else "to run"
            sys.stdout.write(f"{job.cell.dataset}  {job.cell.folder_name}  {state}\n")
        return 0
    outcome = run_request(request, settings, live)
    _report(outcome, settings.out, live, as_json=options.json)
    return outcome.exit_code


def _report(outcome: Outcome, out: Path, live: Live, as_json: bool) -> None:
    """Write tables and pictures, and print the tables."""
    from otbench.report.collapse import collapse_sheet
    from otbench.report.maps import KINDS, curve_sheet, map_sheet
    from otbench.report.pictures import interpolation_sheet, translation_sheet
    from otbench.report.terminal import print_tables
    from otbench.results.cell import slug
    from otbench.results.tables import table, write_tables

    written = write_tables(out, outcome.rejected, outcome.records)
    results = table([*outcome.records, *outcome.rejected])
    for dataset in dict.fromkeys(results["dataset"]):
        ordered = _galleries(outcome, str(dataset))
        records: dict[str, list[dict[str, Any]]] = {}
        for job in outcome.jobs:
            if job.cell.dataset == dataset and (record := outcome.record(job)):
                records.setdefault(job.cell.method, []).append(record)
        name = slug(dataset)
        sheets: dict[str, Callable[[Path], Path | None]] = {
            "interpolation": partial(interpolation_sheet, ordered),
            "translation": partial(translation_sheet, ordered),
            **{kind: partial(map_sheet, kind, ordered) for kind in KINDS},
            "curve": partial(curve_sheet, records),
            "collapse": partial(collapse_sheet, records),
        }
        for kind, draw in sheets.items():
            try:
                sheet = draw(out / f"{kind}-{name}.png")
            except Exception as error:  # noqa: BLE001 - a picture is no reason to lose a table
                live.warn(f"no {kind}-{name}.png: {describe(error)}")
                continue
            written += [sheet] if sheet else []
    if as_json:
        sys.stdout.write(_as_json(results, written, outcome) + "\n")
        return
    for dataset in dict.fromkeys(results["dataset"]):
        part = results[results["dataset"] == dataset]
        named = dict.fromkeys(part["variant"].dropna())
        variants = ", ".join(v for v in named if v not in USUAL_VARIANTS)
        loud = f", VARIANT {variants}" if variants else ""
        presets_named = ", ".join(dict.fromkeys(part["preset"].dropna()))
        sys.stdout.write(f"\n{dataset}{loud}, preset {presets_named}\n")
        sys.stdout.flush()
        print_tables(part)
    if outcome.reused:
        sys.stdout.write(f"{outcome.reused} of {len(outcome.jobs)} cells reused\n")
    for path in written:
        sys.stdout.write(f"wrote {path}\n")


def _galleries(outcome: Outcome, dataset: str) -> dict[str, Path]:
    """Return the pictures of each method: of its first seed that did not collapse or diverge.

    If all seeds did, of the first one.
    """
    found: dict[str, tuple[bool, Path]] = {}
    for job in outcome.jobs:
        file = job.folder / "gallery.npz"
        if job.cell.dataset != dataset or not file.exists():
            continue
        lost = (outcome.record(job) or {}).get("status") in LOST
        before, _ = found.setdefault(job.cell.method, (lost, file))
        if before and not lost:
            found[job.cell.method] = (lost, file)
    return {method: file for method, (_, file) in found.items()}


def _as_json(results: pd.DataFrame, written: list[Path], outcome: Outcome) -> str:
    content = {
        "exit_code": outcome.exit_code,
        "files": [str(path) for path in written],
        "results": json.loads(results.to_json(orient="records")),
    }
    return json.dumps(content, indent=1)


def _seeds(options: argparse.Namespace) -> list[int]:
    if options.seed is not None:
        return [options.seed]
    count = positive("--seeds", options.seeds)
    return list(range(count or presets.get_preset(options.preset).seeds))


def _with_config(options: argparse.Namespace) -> argparse.Namespace:
    """Parse again with the values of the file as defaults, which flags override."""
    content = read_config("--config", options.config)
    parser: argparse.ArgumentParser = options.parser
    actions = {a.option_strings[-1].lstrip("-"): a for a in parser._actions if a.option_strings}
    actions |= {s.lstrip("-"): a for a in parser._actions for s in a.option_strings}
    arguments: list[str] = []
    for key, value in content.items():
        if key not in actions or key in ("config", "help"):
            raise UsageError(f"--config {options.config}: {unknown_name('key', str(key), actions)}")
        arguments += _as_flags(f"--{key}", value)
    # Flags come last, because argparse uses the last value.
    return parser.parse_args([*arguments, *options.arguments])


def _as_flags(flag: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [flag] if value else []
    values = value if isinstance(value, list) else [value]
    return [flag, *(str(item) for item in values)]
