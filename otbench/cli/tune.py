"""``otbench tune``: choose a method's parameters on validation data, each with as many trials."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otbench import presets
from otbench.cli.execution import positive
from otbench.errors import DataError, UsageError, unknown_name

if TYPE_CHECKING:
    from otbench.interface.data import ImageDataset
    from otbench.plugins.registry import Plugin
    from otbench.plugins.selection import Spec
    from otbench.run.tuning import Objective, Setting, Trial

EPILOG = """\
examples:
  otbench tune ae vae acai path-energy not-ae w2-icnn --dataset mnist --trials 20
  otbench tune "path-energy[balanced=true]" --dataset mnist --trials 20 --parameters alpha tau
  otbench tune ae --dataset digits --trials 5 --objective reconstruction/ssim

What is given in brackets stays as it is. The first trial is the defaults. Trials train with seeds
from 10000 on and are scored on validation images. The same command again goes on where it stopped;
a larger --trials adds to what is there. The objective is the sum of the metrics named, and none of
them may be one that a claim of a paper is judged by.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb and its options."""
    parser = subparsers.add_parser(
        "tune",
        help="choose parameters on validation data, with a log",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("methods", nargs="+", metavar="METHOD", help="name[parameter=value]")
    parser.add_argument("--dataset", default="mnist", metavar="NAME", help="default: mnist")
    parser.add_argument("--trials", type=int, required=True, metavar="N", help="of each method")
    parser.add_argument(
        "--preset", default=presets.DEFAULT, metavar="NAME", help=f"default: {presets.DEFAULT}"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="updates, in place of the preset's")
    parser.add_argument("--seeds", type=int, metavar="N", help="trainings of a trial; default: 1")
    parser.add_argument(
        "--objective", nargs="+", metavar="TASK/METRIC",
        help="what is tuned for, a sum; default: KID of midpoints and of reconstructions",
    )  # fmt: skip
    parser.add_argument(
        "--direction", choices=("lower", "higher"),
        help="which objective is better, where its metrics do not say",
    )  # fmt: skip
    parser.add_argument("--parameters", nargs="+", metavar="NAME", help="tune these only")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--threads", type=int, metavar="N", default=1, help="default: 1")
    parser.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="log goes to DIR/tuning"
    )
    parser.add_argument("--json", action="store_true", help="print what was chosen as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the verb; return 0, or 1 where a method has no trial that went well.

    Raises
    ------
    UsageError
        If a name, number or objective is wrong; nothing is started then.
    DataError
        If Optuna is not installed or the data cannot be had.
    """
    from otbench.extras import missing_from
    from otbench.plugins.files import find_plugins
    from otbench.plugins.registry import Registry
    from otbench.plugins.selection import parse

    if hint := missing_from("train") or missing_from("tune"):
        raise DataError(hint)
    trials = positive("--trials", options.trials) or 1
    found_in = [find_plugins(path) for path in options.plugin]
    for path, held in zip(options.plugin, found_in, strict=True):
        if held.problem:
            raise UsageError(f"--plugin {path}: {held.problem}")
    files = [plugin for held in found_in for plugin in held.plugins]
    methods, datasets = Registry("methods", files), Registry("datasets", files)
    specs = parse(options.methods)
    plugins = [methods.get(spec.name) for spec in specs]
    (dataset,) = _one(parse([options.dataset]))
    preset = presets.get_preset(options.preset)
    positive("--steps", options.steps)

    import torch

    from otbench.plugins.parameters import instantiate
    from otbench.run.preflight import choose_device
    from otbench.run.tuning import best_of, tune, validation_of

    torch.set_num_threads(positive("--threads", options.threads) or 1)
    options.device = choose_device(options.device)[0]
    data = validation_of(instantiate(datasets.get(dataset.name).load(), dataset).load())
    objective = _objective(options.objective, options.direction)
    settings = [
        _setting(spec, plugin, dataset, data, objective, preset, options)
        for spec, plugin in zip(specs, plugins, strict=True)
    ]
    folder = options.out / "tuning"
    found = True
    for spec, plugin, setting in zip(specs, plugins, settings, strict=True):
        cls = plugin.load()

        def make(values: dict[str, Any], cls: Any = cls, setting: Setting = setting) -> Any:
            return cls(**setting.fixed | values)

        def say(trial: Trial, label: str = spec.label) -> None:
            told = f"{trial.value:.6g}" if trial.value is not None else f"{trial.status}"
            reason = f": {trial.reason}" if trial.reason else ""
            sys.stderr.write(f"{label} trial {trial.number}: {told}{reason} {trial.parameters}\n")

        file = folder / f"{_stem(setting)}.json"
        done = tune(setting, make, data, preset, trials, file, say)
        found = found and best_of(done, objective.direction) is not None
    _report(folder, options.json)
    return 0 if found else 1


def _one(specs: Sequence[Spec]) -> Sequence[Spec]:
    if len(specs) != 1:
        raise UsageError(f"tune takes one data set, got {len(specs)}")
    return specs


def _stem(setting: Setting) -> str:
    from otbench.results.cell import slug

    return f"{slug(setting.dataset)}-{setting.preset}-{slug(setting.method)}"


def _objective(given: Sequence[str] | None, direction: str | None) -> Objective:
    """Read the objective, and refuse one that says nothing or that a claim is judged by."""
    from otbench.interface.metric import Metric
    from otbench.plugins.registry import Registry
    from otbench.run.tuning import DEFAULT_OBJECTIVE, Objective
    from otbench.scoring.score import MetricFactory

    texts = tuple(given or DEFAULT_OBJECTIVE)
    make, tasks = MetricFactory(), Registry("tasks")
    judged = _judged(make)
    ways = set()
    for text in texts:
        task, slash, metric = text.partition("/")
        if not slash:
            raise UsageError(f"--objective {text}: write TASK/METRIC, such as reconstruction/ssim")
        tasks.get(task)
        make.registry.get(metric.partition("[")[0])
        made = make([metric])[metric]
        if not isinstance(made, Metric):
            raise UsageError(f"--objective {text}: {made}")
        if task not in made.tasks:
            raise UsageError(f"--objective {text}: it is a metric of {', '.join(made.tasks)}")
        if (task, made.id) in judged:
            raise UsageError(
                f"--objective {text}: {judged[task, made.id]} judges a claim by it, and settings "
                "that were chosen by a number cannot be judged by it; name another"
            )
        _fetch(made.assets)
        ways.add(made.direction_on(task))
    if given is None:
        return Objective(texts, "lower")
    ways.discard("neutral")
    if direction is None and len(ways) != 1:
        raise UsageError("--objective: its metrics do not say which is better; add --direction")
    if direction is not None and ways - {direction}:
        raise UsageError(f"--direction {direction}: {', '.join(ways)} is better for this objective")
    return Objective(texts, direction or ways.pop())


def _fetch(assets: Sequence[str]) -> None:
    from otbench.assets.store import require

    for asset in assets:
        require(asset)


def _judged(make: Any) -> dict[tuple[str, str], str]:
    """Return the numbers that claims are judged by, by task and id, with who does."""
    from otbench.interface.metric import Metric
    from otbench.reproduce.declaration import reproductions

    found: dict[tuple[str, str], str] = {}
    for one in reproductions().values():
        used = {
            quantity
            for claim in one.claims
            if not claim.shown
            for _, quantity, _ in claim.check.addresses
        }
        for quantity in one.quantities:
            metric = make([quantity.metric])[quantity.metric] if quantity.name in used else None
            if isinstance(metric, Metric):
                found[quantity.task, metric.id] = one.id
    return found


def _setting(
    spec: Spec,
    plugin: Plugin,
    dataset: Spec,
    data: ImageDataset,
    objective: Objective,
    preset: presets.Preset,
    options: argparse.Namespace,
) -> Setting:
    from otbench.interface.parameters import search_space
    from otbench.plugins.fingerprint import code_digest
    from otbench.plugins.parameters import instantiate, resolve
    from otbench.run.tuning import FIRST_SEED, Setting
    from otbench.scoring.kinds import kind_of, mismatch

    cls = plugin.load()
    given = resolve(cls, spec)
    known = instantiate(cls, spec)
    for reason in (mismatch(cls, data), known.skip(data)):
        if reason:
            raise UsageError(f"{spec.label}: {reason}")
    space = {name: one for name, one in search_space(cls).items() if name not in given}
    for name in options.parameters or ():
        if name not in space:
            raise UsageError(f"{spec.label}: {unknown_name('parameter to tune', name, space)}")
    if options.parameters:
        space = {name: one for name, one in space.items() if name in options.parameters}
    if not space:
        raise UsageError(
            f"{spec.label} declares no parameter to tune: parameter(..., search=Search(low, high))"
        )
    values = known.parameters()
    steps, batch_size = kind_of(data).budget(preset, data)
    count = positive("--seeds", options.seeds) or 1
    return Setting(
        method=spec.label,
        dataset=dataset.label,
        preset=preset.name,
        space=space,
        fixed={name: value for name, value in values.items() if name not in space},
        defaults={name: values[name] for name in space},
        steps=options.steps or steps,
        batch_size=batch_size,
        seeds=tuple(range(FIRST_SEED, FIRST_SEED + count)),
        objective=objective,
        code_sha256=code_digest(plugin.module, plugin.file),
        data_sha256=data.sha256,
        device=options.device,
        threads=options.threads,
    )


def _report(folder: Path, as_json: bool) -> None:
    """Write the trials of each log and what was chosen as CSV, and print the latter."""
    from otbench.report.tuning import write_tuning

    chosen = write_tuning(folder)
    if as_json:
        sys.stdout.write(chosen.to_json(orient="records", indent=1) + "\n")
        return
    for row in chosen.to_dict("records"):
        told = "no trial went well"
        if row["status"] == "ok":
            told = f"{row['chosen']}  {row['value']:.6g} (defaults: {row['default_value']:.6g})"
        sys.stdout.write(f"{row['dataset']}  {row['method']}: {told}, {row['trials']} trials\n")
    for (dataset, preset), part in chosen.groupby(["dataset", "preset"], sort=False):
        if part["trials"].nunique() > 1:
            told = ", ".join(
                f"{m} {n}" for m, n in zip(part["method"], part["trials"], strict=True)
            )
            sys.stdout.write(
                f"{dataset}, {preset}: trials differ ({told}); give every method the same number\n"
            )
    sys.stdout.write(f"wrote {folder / 'chosen.csv'}\n")
