"""Options of all commands that run cells: execution and output."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from otbench import presets
from otbench.errors import UsageError
from otbench.run.runner import STRATEGIES

if TYPE_CHECKING:
    from otbench.run.runner import Options


def add_preset(group: argparse._ArgumentGroup) -> None:
    """Add the options for preset and seeds."""
    group.add_argument(
        "--preset", default=presets.DEFAULT, metavar="NAME",
        help=f"{', '.join(presets.PRESETS)}; default: {presets.DEFAULT}",
    )  # fmt: skip
    group.add_argument(
        "--seeds", type=int, metavar="N", help="seeds 0 to N-1; default: the preset's number"
    )


def add_execution(group: argparse._ArgumentGroup) -> None:
    """Add the options for the execution of cells."""
    group.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    group.add_argument("-j", "--jobs", type=int, metavar="N", help="cells at once; default: cores")
    group.add_argument(
        "--threads",
        type=int,
        metavar="N",
        default=1,
        help="CPU threads of one cell; default: 1. Another number gives other weights",
    )
    group.add_argument(
        "--timeout", metavar="TIME", help="kill a cell after this time, such as 90, 10m or 2h"
    )
    group.add_argument(
        "--overwrite-strategy", choices=STRATEGIES,
        default="only-missing",
        help="only-missing reuses finished cells and tries failed ones again; only-failed runs "
        "nothing else; never keeps failures too",
    )  # fmt: skip
    group.add_argument(
        "--only-failed", action="store_const", const="only-failed", dest="overwrite_strategy",
        help="run only the cells again that failed, were killed or were interrupted",
    )  # fmt: skip
    group.add_argument(
        "--rescore", action="store_true", help="score finished models again, without training"
    )
    group.add_argument(
        "--executor", default="local", metavar="NAME",
        help="where cells run: local (default), slurm, dask; otbench show NAME lists parameters",
    )  # fmt: skip
    group.add_argument(
        "--executor-config", type=Path, metavar="FILE", help="YAML with parameters of the executor"
    )
    group.add_argument(
        "--cells-per-job", type=int, metavar="N", help="slurm: cells that one job runs; default: 1"
    )
    group.add_argument("--scheduler", metavar="ADDRESS", help="dask: a scheduler that runs already")
    group.add_argument("--offline", action="store_true", help="never use the network")


def add_output(group: argparse._ArgumentGroup) -> None:
    """Add the options for the results folder and for printing."""
    group.add_argument("--out", type=Path, default=Path("results"), metavar="DIR")
    group.add_argument("--json", action="store_true", help="print the results as JSON")
    group.add_argument("--quiet", action="store_true", help="no progress")


def execution_options(options: argparse.Namespace) -> Options:
    """Return the options that `add_execution` and `add_output` added; apply ``--offline``.

    Raises
    ------
    UsageError
        If a number or a time is not one, or the executor or its parameters are unknown.
    """
    from otbench.run.executors.choose import make_executor
    from otbench.run.runner import Options

    if options.rescore and options.overwrite_strategy == "only-failed":
        raise UsageError("--rescore scores finished cells, --only-failed runs the others; give one")
    if options.offline:
        os.environ["OTBENCH_OFFLINE"] = "1"
    return Options(
        out=options.out,
        executor=make_executor(
            options.executor,
            options.executor_config,
            cells_per_job=positive("--cells-per-job", options.cells_per_job),
            scheduler=options.scheduler,
        ),
        jobs=positive("--jobs", options.jobs),
        timeout=seconds(options.timeout) if options.timeout else None,
        strategy=options.overwrite_strategy,
        rescore=options.rescore,
    )


def positive(flag: str, value: int | None) -> int | None:
    """Return the value of a flag after checking that it is absent or at least 1.

    Raises
    ------
    UsageError
        If the value is less than 1.
    """
    if value is not None and value < 1:
        raise UsageError(f"{flag} wants a number of at least 1, got {value}")
    return value


def seconds(text: str) -> float:
    """Read a time such as ``90``, ``90s``, ``10m`` or ``2h``.

    Raises
    ------
    UsageError
        If the text is not a positive time.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(text).strip())
    if not match or float(match[1]) == 0:
        raise UsageError(f"--timeout {text}: write a number with s, m or h, such as 90s or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
