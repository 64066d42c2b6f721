"""Checks before any training, in a process of its own: ``python -m otbench.run.preflight``.

In a process of its own, so that neither a slow import nor a broken plugin touches the command:
it reads a request from a folder, imports the plugins, checks parameters, loads the data, and passes
a few images through every task and metric once. It leaves the cells to run in the folder, and a
trail of what it was at.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from otbench.assets.progress import on_arrival
from otbench.errors import DataError, OTBenchError, UsageError, describe
from otbench.files import whole
from otbench.interface.data import Data, Dataset
from otbench.interface.method import PaperSettings
from otbench.interface.parameters import declared
from otbench.plugins.child import die_with_parent
from otbench.plugins.fingerprint import code_digest
from otbench.plugins.parameters import instantiate
from otbench.plugins.registry import Plugin, Registry
from otbench.plugins.selection import Spec, parse
from otbench.presets import Preset, get_preset
from otbench.results.cell import Cell
from otbench.run.candidates import Candidate, Unfit, candidates, rejection, unfit
from otbench.run.dry_pass import dry_pass
from otbench.run.passed import place_of, remember
from otbench.run.provenance import libraries
from otbench.run.request import PLAN, REQUEST, TRAIL, Plan, Request, Sweep
from otbench.run.scorers import Scorers, add_metrics
from otbench.run.trail import ASK, IMPORT, LOAD, MAKE, Trail
from otbench.scoring.digests import score_digests
from otbench.scoring.kinds import kind_of, mismatch
from otbench.scoring.score import STRANGERS


def make_plan(request: Request, trail: Trail | None = None) -> Plan:
    """Check a request from end to end and lay out its cells.

    Parameters
    ----------
    request : Request
    trail : Trail, optional
        Where to write what is at work.

    Raises
    ------
    OTBenchError
        If the request is wrong, or its data cannot be had.
    """
    plan, trail = Plan(), trail or Trail()
    files = [Plugin(**content) for content in request.files]
    methods, datasets = Registry("methods", files), Registry("datasets", files)
    plan.warnings += methods.problems + datasets.problems
    plan.device, plan.gpus = choose_device(request.device, request.here)
    plan.tried_on = plan.device if request.here else "cpu"
    preset = get_preset(request.preset)
    load = cache(lambda spec: _load_dataset(datasets.get(spec.name), spec, plan, trail))
    digest = cache(code_digest)
    scorers = Scorers(request, plan, trail)
    loaded: dict[str, tuple[Data, Plugin]] = {}
    for number, sweep in enumerate(request.sweeps):
        chosen = list(candidates(request, number, methods, plan, trail))
        for spec in parse(sweep.datasets):
            dataset, data = load(spec)
            label = _label(spec.name, dataset)
            loaded[label] = data, datasets.get(spec.name)
            wanted = scorers.wanted(preset, sweep, request.metrics, data)
            add_metrics(plan.metrics.setdefault(label, {}), wanted)
            of_data = {
                "dataset": label,
                "dataset_parameters": dataset.parameters(),
                "dataset_plugin": datasets.get(spec.name),
            }
            for candidate in chosen:
                try:
                    if reason := mismatch(type(candidate.method), data):
                        raise Unfit("skipped", reason)
                    with (
                        trail.stage(ASK, "method", candidate.spec.label),
                        unfit("failed", f"{ASK}: "),
                    ):
                        native, labels = _identity(candidate, preset, data, digest)
                except Unfit as misfit:
                    if misfit.args[0] != "skipped" or candidate.named:
                        own = _label(candidate.spec.name, candidate.method)
                        plan.rejected.append(rejection(request, number, own, label, *misfit.args))
                    continue
                cells = _cells(request, preset, sweep, native, data, plan.device, of_data | labels)
                card = candidate.method.card
                plan.cells += [
                    {
                        "cell": asdict(cell),
                        "cost": card.relative_cost,
                        "reference": card.reference,
                        "sweep": number,
                    }
                    for cell in cells
                ]
    for label, (data, plugin) in loaded.items():
        wanted = plan.metrics[label]
        digests = score_digests(wanted, preset.sizes)
        scorers.fetch(wanted)
        data_code = digest(plugin.module, plugin.file)
        place = place_of(digests, plan.unavailable, data, data_code, plan.tried_on)
        if not place.exists() and dry_pass(wanted, data, plan, scorers.make_metrics, trail):
            remember(place)
        plan.digests |= digests
    plan.sizes = asdict(preset.sizes)
    return plan


def _identity(
    candidate: Candidate, preset: Preset, data: Data, digest: Callable[..., str]
) -> tuple[PaperSettings | None, dict[str, Any]]:
    """Return the paper's settings where they count, and what a cell says of its method."""
    method, plugin = candidate.method, candidate.plugin
    native = method.paper_settings(data) if preset.track == "native" else None
    kept = candidate.given & (native.parameters.keys() if native else set())
    parameters = method.parameters()
    if native:
        parameters |= {k: v for k, v in native.parameters.items() if k not in candidate.given}
    return native, {
        "method": _label(candidate.spec.name, method, kept),
        "parameters": parameters,
        "plugin": plugin,
        "code_sha256": digest(plugin.module, plugin.file),
    }


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


def _load_dataset(plugin: Plugin, spec: Spec, plan: Plan, trail: Trail) -> tuple[Dataset, Data]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with trail.stage(IMPORT, "data set", spec.label):
                cls = plugin.load()
            with trail.stage(MAKE, "data set", spec.label):
                dataset: Dataset = instantiate(cls, spec)
            with trail.stage(LOAD, "data set", spec.label):
                data = dataset.load()
                kind_of(data).check(data)
        except OTBenchError:
            raise
        except STRANGERS as error:
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


def main() -> int:
    """Read a request from the folder that is named, and write the plan into it."""
    die_with_parent()
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    trail = Trail(folder / TRAIL)
    on_arrival(trail.moves)
    request = Request.from_json(json.loads((folder / REQUEST).read_text()))
    try:
        plan = make_plan(request, trail)
    except OTBenchError as error:
        plan = Plan(error={"message": str(error), "exit_code": error.exit_code})
    with whole(folder / PLAN) as path:
        path.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
