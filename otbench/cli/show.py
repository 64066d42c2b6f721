"""``otbench show``: details of a method, data set, metric, task, preset, reproduction or result."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

from otbench.errors import UsageError

WIDTH = 100
"""Largest width in columns; longer lines are wrapped."""

SEARCHED = ("methods", "datasets", "metrics", "tasks", "executors")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "show", help="one method, data set, metric, task, preset, reproduction or result in full"
    )
    parser.add_argument("name", help="a name, or the folder of a cell")
    parser.add_argument("--bibtex", action="store_true", help="print only what to cite, as BibTeX")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    width = min(shutil.get_terminal_size().columns, WIDTH)
    lines = _describe(options.name)
    if options.bibtex:
        return _bibtex(options.name, lines)
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        wrapped = textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False)
        sys.stdout.write(wrapped + "\n")
    return 0


def _bibtex(name: str, lines: list[str]) -> int:
    from otbench.references import cited, entries

    known = entries()
    found = [known[key] for key in cited("\n".join(lines)) if key in known]
    if not found:
        raise UsageError(f"{name} names no work that is in references.bib; see otbench show {name}")
    sys.stdout.write("\n\n".join(found) + "\n")
    return 0


def _describe(name: str) -> list[str]:
    from otbench.errors import unknown_name
    from otbench.plugins.registry import Registry
    from otbench.presets import PRESETS
    from otbench.reproduce.declaration import reproductions

    if name in PRESETS:
        return _preset(PRESETS[name])
    known: list[str] = list(PRESETS)
    for kind in SEARCHED:
        registry = Registry(kind)
        known += registry.names()
        if name in registry.names():
            return _plugin(registry.get(name))
    claims = reproductions()
    if name in claims:
        return _reproduction(claims[name])
    known += claims
    record = Path(name) if name.endswith(".json") else Path(name) / "record.json"
    if record.is_file():
        return _record(record)
    raise UsageError(unknown_name("name", name, known))


def _plugin(plugin: Any) -> list[str]:
    from otbench.errors import describe

    lines = [f"{plugin.name}  ({plugin.kind[:-1]} of {plugin.distribution} {plugin.version})", ""]
    try:
        cls = plugin.load()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{plugin.name} cannot be imported: {describe(error)}") from error
    card = getattr(cls, "card", None)
    if card is not None:
        lines += [card.title, f"source: {card.source}"]
        lines += _listed("equations", card.equations) + _listed("deviations", card.deviations)
        if card.paper:
            changes = ", ".join(f"{k}={v}" for k, v in card.paper.parameters.items()) or "none"
            lines += [
                "",
                f"paper's settings: {card.paper.steps:,} steps of {card.paper.batch_size}",
            ]
            lines += [f"  parameters: {changes}"]
    else:
        lines += [inspect.getdoc(cls) or ""]
        for name in ("direction", "range", "tasks", "blind_to"):
            value = getattr(cls, name, None)
            if isinstance(value, str | tuple) and value:
                text = value if isinstance(value, str) else ", ".join(value)
                lines.append(f"{name.replace('_', ' ')}: {text}")
    fields = [f for f in dataclasses.fields(cls) if f.init] if dataclasses.is_dataclass(cls) else []
    if fields:
        lines += ["", "parameters:"]
    for f in fields:
        default = "required" if f.default is dataclasses.MISSING else repr(f.default)
        lines.append(f"  {f.name} = {default}")
        if "doc" in f.metadata:
            lines.append(f"      {f.metadata['doc']} [{f.metadata['origin']}]")
    return lines


def _listed(title: str, items: tuple[str, ...]) -> list[str]:
    return ["", f"{title}:", *(f"  - {item}" for item in items)] if items else []


def _preset(preset: Any) -> list[str]:
    length = f"{preset.steps} steps" if preset.steps else f"{preset.epochs:g} epochs"
    lines = [
        f"{preset.name}  (preset)",
        "",
        preset.doc,
        f"{length} of {preset.batch_size} images, {preset.seeds} seeds, track {preset.track}",
        "",
        "sizes:",
        *(f"  {name} = {value}" for name, value in dataclasses.asdict(preset.sizes).items()),
    ]
    from otbench.plugins.registry import Registry

    registry = Registry("tasks")
    tasks = {name: registry.get(name).load() for name in registry.names()}
    for name, task in sorted(tasks.items(), key=lambda named: (named[1].order, named[0])):
        metrics = (*task.default_metrics, *(task.full_metrics if preset.full else ()))
        lines += ["", f"{name}:", f"  {', '.join(metrics)}"] if metrics else []
    return lines


def _reproduction(one: Any) -> list[str]:
    lines = [f"{one.id}  (reproduction)", "", one.title, one.paper, ""]
    lines += [f"note: {one.note}"] if one.note else []
    lines += [f"  {name} = {selection}" for name, selection in one.methods.items()]
    lines += _listed(
        "runs", tuple(f"{r.name}: {r.dataset}, {', '.join(r.methods)}" for r in one.runs)
    )
    lines += _listed("quantities", tuple(f"{q.name}: {q.task}/{q.metric}" for q in one.quantities))
    claims = (f"{claim.says} [{claim.check.text}]" for claim in one.claims)
    return lines + _listed("claims", tuple(claims))


def _record(path: Path) -> list[str]:
    from otbench.results.cell import read_json

    record = read_json(path)
    cell = record["cell"]
    command = f"otbench run --methods '{cell['method']}' --dataset '{cell['dataset']}'"
    preset, _, steps = cell["preset"].partition("-")
    command += f" --preset {preset} --seed {cell['seed']}" + (f" --steps {steps}" if steps else "")
    reason = f": {record['reason']}" if record["reason"] else ""
    lines = [
        f"{cell['method']} on {cell['dataset']} ({cell['variant']}), seed {cell['seed']}",
        f"status: {record['status']}{reason}",
        f"fit {record['fit_seconds']} s, scored {record['score_seconds']} s, "
        f"peak memory {record['peak_rss_mb']} MiB, on {record['device']}",
        f"again: {command}",
        "",
        "parameters:",
        *(f"  {name} = {value!r}" for name, value in cell["parameters"].items()),
        "",
        "results:",
    ]
    for row in record["rows"]:
        value = row["reason"] if row["value"] is None else f"{row['value']:.6g}  (n={row['n']})"
        lines.append(f"  {row['task']}/{row['metric']}: {value}")
    return lines
