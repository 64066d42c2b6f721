"""Checks before any training, in a process of its own: ``python -m otbench.run.preflight``.

In a process of its own, so that neither a slow import nor a broken plugin touches the command:
it reads a request from the standard input, imports the plugins, checks parameters, loads the data,
and passes a few images through every task and metric once. The cells to run are its output.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from otbench.errors import DataError, OTBenchError, UsageError, describe
from otbench.interface.data import Data, Dataset
from otbench.interface.method import Method, MethodCard, PaperSettings
from otbench.interface.metric import Metric
from otbench.interface.parameters import declared
from otbench.interface.task import Task
from otbench.plugins.child import die_with_parent
from otbench.plugins.fingerprint import code_digest
from otbench.plugins.parameters import instantiate, resolve
from otbench.plugins.registry import Plugin, Registry
from otbench.plugins.selection import Spec, choose, parse
from otbench.presets import Preset, get_preset
from otbench.results.cell import Cell
from otbench.run.dry_pass import dry_pass, require_assets
from otbench.run.passed import place_of, remember
from otbench.run.provenance import libraries
from otbench.run.request import IMPORTING, Plan, Request, Sweep
from otbench.scoring.digests import score_digests
from otbench.scoring.kinds import kind_of, mismatch
from otbench.scoring.score import MetricFactory


def make_plan(request: Request, breadcrumb: Path) -> Plan:
    """Check a request from end to end and lay out its cells.

    Parameters
    ----------
    request : Request
    breadcrumb : Path
        Where to write the name of each method before it is imported.

    Raises
    ------
    OTBenchError
        If the request is wrong, or its data cannot be had.
    """
    plan = Plan()
    files = [Plugin(**content) for content in request.files]
    methods, datasets = Registry("methods", files), Registry("datasets", files)
    plan.warnings += methods.problems + datasets.problems
    plan.device, plan.gpus = choose_device(request.device, request.here)
    plan.tried_on = plan.device if request.here else "cpu"
    preset = get_preset(request.preset)
    load = cache(lambda spec: _load_dataset(datasets.get(spec.name), spec, plan))
    digest, make_metrics = cache(code_digest), MetricFactory()
    loaded: dict[str, tuple[Data, Plugin]] = {}
    for number, sweep in enumerate(request.sweeps):
        chosen = list(_load_methods(request, number, methods, plan, breadcrumb))
        for spec in parse(sweep.datasets):
            dataset, data = load(spec)
            label = _label(spec.name, dataset)
            loaded[label] = data, datasets.get(spec.name)
            add_metrics(
                plan.metrics.setdefault(label, {}),
                _metrics(preset, sweep, request.metrics, data, plan, make_metrics),
            )
            of_data = {
                "dataset": label,
                "dataset_parameters": dataset.parameters(),
                "dataset_plugin": datasets.get(spec.name),
            }
            for name, plugin, method, given, named in chosen:
                if reason := mismatch(type(method), data):
                    if named:
                        method_label = _label(name, method)
                        plan.rejected.append(
                            _rejection(request, number, method_label, label, "skipped", reason)
                        )
                    continue
                native = method.paper_settings(data) if preset.track == "native" else None
                kept = given & (native.parameters.keys() if native else set())
                parameters = method.parameters()
                if native:
                    parameters |= {k: v for k, v in native.parameters.items() if k not in given}
                labels = of_data | {
                    "method": _label(name, method, kept),
                    "parameters": parameters,
                    "plugin": plugin,
                    "code_sha256": digest(plugin.module, plugin.file),
                }
                plan.cells += [
                    {
                        "cell": asdict(cell),
                        "cost": method.card.relative_cost,
                        "reference": method.card.reference,
                        "sweep": number,
                    }
                    for cell in _cells(request, preset, sweep, native, data, plan.device, labels)
                ]
    for label, (data, plugin) in loaded.items():
        wanted = plan.metrics[label]
        digests = score_digests(wanted, preset.sizes)
        require_assets(wanted, plan, make_metrics)
        data_code = digest(plugin.module, plugin.file)
        place = place_of(digests, plan.unavailable, data, data_code, plan.tried_on)
        if not place.exists() and dry_pass(wanted, data, plan, make_metrics):
            remember(place)
        plan.digests |= digests
    plan.sizes = asdict(preset.sizes)
    return plan


def _default_metrics(preset: Preset, data: Data, plan: Plan) -> dict[str, tuple[str, ...]]:
    """Ask every registered task that suits the data for its default metrics."""
    registry, made = Registry("tasks"), []
    for name in registry.names():
        try:
            task: Task = registry.get(name).load()()
            if isinstance(data, task.on) and not task.lacks(data):
                made.append((task.order, name, task.metrics_for(data, preset.full)))
        except Exception as error:  # noqa: BLE001 - a stranger's code
            problem = f"task {name} is left out: {describe(error)}"
            if problem not in plan.warnings:
                plan.warnings.append(problem)
    return {name: texts for _, name, texts in sorted(made) if texts}


def _cells(
    request: Request,
    preset: Preset,
    sweep: Sweep,
    native: PaperSettings | None,
    data: Data,
    device: str,
    labels: dict[str, Any],
) -> Iterator[Cell]:
    """Yield the cell of each seed; the labels say which method and which data set it is of."""
    kind = kind_of(data)
    steps, batch_size = kind.budget(preset, data)
    if native and kind.paper_budget:
        steps, batch_size = native.steps, native.batch_size
    for seed in sweep.seeds:
        yield Cell(
            variant=data.variant,
            data_sha256=data.sha256,
            track="native" if native else "matched",
            preset=f"{preset.name}-{sweep.steps}" if sweep.steps else preset.name,
            seed=seed,
            steps=sweep.steps or steps,
            batch_size=batch_size,
            seconds=request.seconds,
            device=device,
            threads=request.threads,
            libraries=libraries(),
            **labels,
        )


def _load_dataset(plugin: Plugin, spec: Spec, plan: Plan) -> tuple[Dataset, Data]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset: Dataset = instantiate(plugin.load(), spec)
            data = dataset.load()
            kind_of(data).check(data)
        except OTBenchError:
            raise
        except Exception as error:
            raise DataError(f"data set {spec.label}: {describe(error)}") from error
    plan.warnings += [str(warning.message) for warning in caught]
    return dataset, data


def choose_device(wanted: str, here: bool = True) -> tuple[str, int]:
    """Return the device of the cells, and how many CUDA devices of this machine serve them.

    Raises
    ------
    UsageError
        If this machine has no such device.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not here and wanted != "auto":
        return wanted, 0
    if wanted == "cuda" and not gpus:
        raise UsageError("--device cuda: torch sees no CUDA device; use --device cpu")
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError("--device mps: torch sees no Apple GPU; use --device cpu")
        return "mps", 0
    use_gpu = gpus > 0 and wanted in ("auto", "cuda")
    return ("cuda", gpus) if use_gpu else ("cpu", 0)


def _load_methods(
    request: Request, number: int, registry: Registry, plan: Plan, breadcrumb: Path
) -> Iterator[tuple[str, Plugin, Method, frozenset[str], bool]]:
    """Import and instantiate a sweep's methods; those that cannot be imported become rejections.

    Yields name, plugin, method, the parameters that were given, and whether it was asked for by
    its own name.
    """
    sweep = request.sweeps[number]
    for spec, named in choose(sweep.methods, registry.names(), "method").items():
        plugin = registry.get(spec.name)
        reason = request.avoid.get(spec.name)
        if reason is None:
            breadcrumb.write_text(spec.name)
            try:
                cls = plugin.load()
                if not (isinstance(cls, type) and issubclass(cls, Method)):
                    raise TypeError(f"{plugin.value} is not a subclass of otbench.interface.Method")
                declared(cls)
                if not isinstance(getattr(cls, "card", None), MethodCard):
                    raise TypeError(f"{plugin.value} has no card = MethodCard(...)")
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
                reason = describe(error)
        if reason is not None:
            plan.rejected += [
                _rejection(request, number, spec.label, dataset, "not_installed", reason)
                for dataset in (s.label for s in parse(sweep.datasets))
            ]
            continue
        method: Method = instantiate(cls, spec)
        yield spec.name, plugin, method, frozenset(resolve(cls, spec)), named


def _rejection(
    request: Request, number: int, method: str, dataset: str, status: str, reason: str
) -> dict[str, Any]:
    known = {"method": method, "dataset": dataset, "preset": request.preset, "sweep": number}
    return known | {"status": status, "reason": reason}


def _label(name: str, instance: Any, kept: Collection[str] = ()) -> str:
    """Return the name with the parameters that are not at their defaults.

    Also those named in ``kept``: given by the user where the paper's settings have another value.
    """
    changed = tuple(
        (key, value)
        for key, f in declared(type(instance)).items()
        if (value := getattr(instance, key)) != f.default or key in kept
    )
    return Spec(name, changed).label


def _metrics(
    preset: Preset,
    sweep: Sweep,
    extra: list[str],
    data: Data,
    plan: Plan,
    make_metrics: MetricFactory,
) -> dict[str, list[str]]:
    """Choose the metrics for a data set."""
    chosen: Mapping[str, Sequence[str]] = sweep.metrics or _default_metrics(preset, data, plan)
    wanted = {task: list(texts) for task, texts in chosen.items()}
    tasks = Registry("tasks")
    for spec in parse(extra):
        make_metrics.registry.get(spec.name)
        metric = make_metrics([spec.label])[spec.label]
        if isinstance(metric, str):
            raise UsageError(f"metric {spec.label}: {metric}")
        add_metrics(wanted, {task: [spec.label] for task in metric.tasks})
    made: dict[str, Task] = {name: tasks.get(name).load()() for name in wanted}
    wanted = {
        name: texts
        for name, texts in wanted.items()
        if isinstance(data, made[name].on) and not made[name].lacks(data)
    }
    for texts in wanted.values():
        for text, metric in make_metrics(texts).items():
            # A metric that means nothing on this data would fill a column with the same reason.
            if isinstance(metric, Metric) and metric.missing(data):
                texts.remove(text)
    return wanted


def add_metrics(known: dict[str, list[str]], more: Mapping[str, Sequence[str]]) -> None:
    """Add metrics, as text by task, to those that are there."""
    for task, texts in more.items():
        own = known.setdefault(task, [])
        own += [text for text in texts if text not in own]


def main() -> int:
    """Read a request from the standard input and write the plan to the file that is named."""
    die_with_parent()
    request, path = Request.from_json(json.load(sys.stdin)), Path(sys.argv[1])
    try:
        plan = make_plan(request, path.with_suffix(IMPORTING))
    except OTBenchError as error:
        plan = Plan(error={"message": str(error), "exit_code": error.exit_code})
    path.write_text(json.dumps(asdict(plan)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
