"""Everything that can go wrong before training goes wrong here: ``python -m otbench.preflight``.

In a process of its own, so that neither a slow import nor a broken plugin touches the command:
it reads a request from the standard input, imports the plugins, checks parameters, loads the data,
and passes a few images through every task and metric once. It answers with the cells to run.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otbench.cell import Cell
from otbench.errors import DataError, OTBenchError, UsageError
from otbench.fingerprint import code_digest
from otbench.interface import (
    Autoencoder,
    Dataset,
    FitContext,
    ImageDataset,
    Interpolator,
    Method,
    MethodCard,
    Split,
)
from otbench.metrics.base import Metric, ScoreContext
from otbench.parameters import declared, instantiate
from otbench.plan import IMPORTING, Answer, Request
from otbench.presets import Preset, Sizes, get_preset
from otbench.registry import Plugin, Registry
from otbench.scoring import describe, make_metrics, score
from otbench.selection import Spec, parse

DRY_IMAGES, DRY_FRAMES = 64, 4


@dataclass
class _Pixels(Autoencoder):
    """The identity, for the dry pass: pixels are the code."""

    card = MethodCard("pixels", "none")

    def fit(self, data: ImageDataset, ctx: FitContext) -> None: ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> _Pixels:
        return cls()

    def encode(self, x: Tensor) -> Tensor:
        self.shape_ = x.shape[1:]
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return z.unflatten(1, self.shape_).clamp(0, 1)


def plan(request: Request, breadcrumb: Path) -> Answer:
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
    answer = Answer()
    files = [Plugin(**content) for content in request.files]
    methods, datasets = Registry("methods", files), Registry("datasets", files)
    answer.warnings += methods.problems + datasets.problems
    answer.device, answer.gpus = _device(request.device)
    preset = get_preset(request.preset)
    chosen = list(_load_methods(request, methods, answer, breadcrumb))
    for spec in parse(request.datasets):
        plugin = datasets.get(spec.name)
        dataset, data = _load_dataset(plugin, spec, answer)
        label = _label(spec.name, dataset)
        answer.metrics[label] = _metrics(preset, request.metrics, data, answer)
        for method_label, method_plugin, method in chosen:
            cls = type(method)
            if not issubclass(cls, Interpolator):
                reason = f"{cls.__name__} is no Interpolator: it cannot run on images"
                answer.rejected.append(_rejection(request, method_label, label, "skipped", reason))
                continue
            native = method.card.paper if preset.track == "native" else None
            steps, batch_size = preset.budget_for(len(data.train), data.scene is not None)
            if native and data.scene is None:
                steps, batch_size = native.steps, native.batch_size
            code = code_digest(method_plugin.module, method_plugin.file)
            for seed in request.seeds:
                cell = Cell(
                    method=method_label,
                    parameters=_plain(method, native.parameters if native else {}),
                    plugin=method_plugin,
                    dataset=label,
                    dataset_parameters=_plain(dataset, {}),
                    dataset_plugin=plugin,
                    variant=data.variant,
                    data_sha256=data.sha256,
                    track="native" if native else "matched",
                    preset=f"{preset.name}-{request.steps}" if request.steps else preset.name,
                    seed=seed,
                    steps=request.steps or steps,
                    batch_size=batch_size,
                    seconds=request.seconds,
                    sizes=preset.sizes,
                    code_sha256=code,
                )
                answer.cells.append({"cell": asdict(cell), "cost": method.card.relative_cost})
    return answer


def _load_dataset(plugin: Plugin, spec: Spec, answer: Answer) -> tuple[Dataset, ImageDataset]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset: Dataset = instantiate(plugin.load(), spec)
            data = dataset.load()
        except OTBenchError:
            raise
        except Exception as error:
            raise DataError(f"data set {spec.label}: {describe(error)}") from error
    answer.warnings += [str(warning.message) for warning in caught]
    return dataset, data


def _device(wanted: str) -> tuple[str, int]:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cuda" and not gpus:
        raise UsageError("--device cuda: torch sees no CUDA device; use --device cpu")
    use_gpu = gpus > 0 and wanted in ("auto", "cuda")
    return ("cuda", gpus) if use_gpu else ("cpu", 0)


def _load_methods(
    request: Request, registry: Registry, answer: Answer, breadcrumb: Path
) -> Iterator[tuple[str, Plugin, Method]]:
    """Import and instantiate methods; those that cannot be imported become rejections."""
    every = [Spec(name) for name in registry.names()] if "all" in request.methods else []
    named = parse(text for text in request.methods if text != "all")
    for spec in dict.fromkeys([*every, *named]):
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
            answer.rejected += [
                _rejection(request, spec.label, dataset, "not_installed", reason)
                for dataset in (s.label for s in parse(request.datasets))
            ]
            continue
        method: Method = instantiate(cls, spec)
        yield _label(spec.name, method), plugin, method


def _rejection(
    request: Request, method: str, dataset: str, status: str, reason: str
) -> dict[str, Any]:
    known = {"method": method, "dataset": dataset, "preset": request.preset}
    return known | {"status": status, "reason": reason}


def _label(name: str, instance: Any) -> str:
    """Return the name with the parameters that are not at their defaults."""
    changed = tuple(
        (key, value)
        for key, f in declared(type(instance)).items()
        if (value := getattr(instance, key)) != f.default
    )
    return Spec(name, changed).label


def _plain(instance: Any, paper: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters; the paper's settings give way to what the user asked for."""
    values = {}
    for name, f in declared(type(instance)).items():
        value = getattr(instance, name)
        values[name] = paper.get(name, value) if value == f.default else value
    return values


def _metrics(
    preset: Preset, extra: list[str], data: ImageDataset, answer: Answer
) -> dict[str, list[str]]:
    """Choose the metrics for a data set and pass a few images through each once."""
    chosen = preset.metrics if data.scene is None else preset.scene_metrics
    wanted = {task: list(texts) for task, texts in chosen.items()}
    registry = Registry("metrics")
    for spec in parse(extra):
        registry.get(spec.name)
        metric = make_metrics([spec.label], registry)[spec.label]
        if isinstance(metric, str):
            raise UsageError(f"metric {spec.label}: {metric}")
        for task in metric.tasks:
            if spec.label not in wanted.setdefault(task, []):
                wanted[task].append(spec.label)
    tasks = Registry("tasks")
    wanted = {name: w for name, w in wanted.items() if not tasks.get(name).load()().lacks(data)}
    for texts in wanted.values():
        for text, metric in make_metrics(texts, registry).items():
            # A metric that means nothing on this data would fill a column with the same reason.
            if isinstance(metric, Metric) and metric.missing(data):
                texts.remove(text)
    _dry_pass(wanted, registry, data, answer)
    return wanted


def _dry_pass(
    wanted: dict[str, list[str]], registry: Registry, data: ImageDataset, answer: Answer
) -> None:
    for text, metric in make_metrics(chain(*wanted.values()), registry).items():
        for asset in metric.assets if isinstance(metric, Metric) else ():
            try:
                _require(asset)
            except DataError as error:
                answer.unavailable[text] = str(error).splitlines()[0]
                answer.warnings.append(f"{text} will not be scored: {error}")
    few = _few(data)
    sizes = Sizes(DRY_IMAGES, DRY_IMAGES, pairs=2, midpoints=DRY_IMAGES, frames=DRY_FRAMES)
    ctx = ScoreContext(torch.device(answer.device), 0, few, **asdict(sizes))
    for row in score(_Pixels(), few, ctx, wanted, answer.unavailable):
        if row["status"] == "failed":
            answer.unavailable[row["text"]] = f"failed before training: {row['reason']}"
            answer.warnings.append(f"{row['metric']} will not be scored: {row['reason']}")


def _require(asset: str) -> None:
    from otbench.assets.store import require

    require(asset)


def _few(data: ImageDataset) -> ImageDataset:
    """Return the same data set with a few images of each split, classes evenly among them."""

    def cut(split: Split) -> Split:
        if split.labels is None:
            return Split(split.images[:DRY_IMAGES])
        order = torch.argsort(split.labels, stable=True)
        chosen = order[torch.linspace(0, len(order) - 1, min(DRY_IMAGES, len(order))).long()]
        return Split(split.images[chosen], split.labels[chosen])

    train, validation, test = (cut(split) for split in (data.train, data.validation, data.test))
    pairs = None if data.scene is None else data.pairs
    return replace(data, train=train, validation=validation, test=test, pairs=pairs)


def main() -> int:
    """Read a request from the standard input, write the answer to the file that is named."""
    request, path = Request(**json.load(sys.stdin)), Path(sys.argv[1])
    try:
        answer = plan(request, path.with_suffix(IMPORTING))
    except OTBenchError as error:
        answer = Answer(error={"message": str(error), "exit_code": error.exit_code})
    path.write_text(json.dumps(asdict(answer)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
