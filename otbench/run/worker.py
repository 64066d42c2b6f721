"""The process of one cell: ``python -m otbench.run.worker REQUEST``.

It reads the request, fits the method unless the folder has a finished model, scores the metrics
that are missing from the record, and writes ``record.json``. After an error, the record has a
status and a reason.
"""

from __future__ import annotations

import logging
import os
import resource
import shutil
import sys
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from otbench.errors import describe
from otbench.files import whole
from otbench.interface.data import Data
from otbench.interface.method import Method
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import Budget, Diverged, FitContext
from otbench.nn.memory import keep_freed_memory
from otbench.plugins.child import WATCH_PARENT, die_with_parent
from otbench.plugins.fingerprint import code_digest
from otbench.plugins.parameters import instantiate
from otbench.plugins.registry import Plugin
from otbench.plugins.selection import Spec
from otbench.results.cell import write_json
from otbench.results.job import Job
from otbench.results.progress import FILE
from otbench.results.record import DIVERGED, Record
from otbench.results.records import is_finished, merge_rows, missing_metrics, with_failure
from otbench.run.losses import Losses
from otbench.run.provenance import libraries
from otbench.scoring.digests import score_digests
from otbench.scoring.kinds import kind_of
from otbench.scoring.lost import JUDGED_FROM, Lost, of_losses
from otbench.scoring.score import score
from otbench.scoring.unchanged import Unchanged

log = logging.getLogger("otbench.run.worker")


def main(request: Path) -> int:
    """Run the cell of a request and write its record."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    die_with_parent()
    if watch := os.environ.get(WATCH_PARENT):
        threading.Thread(target=_end_with_parent, args=[int(watch)], daemon=True).start()
    job = Job.read(request)
    # Another run may have started the same cell: only one of them works at a time, and the second
    # one uses the results of the first.
    with FileLock(job.folder / "cell.lock"):
        _Worker(job).run()
    return 0


def _end_with_parent(watch: int) -> None:
    while os.read(watch, 1024):
        pass
    os._exit(130)


class _Worker:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.found = job.record()
        # Earlier results are kept in case this run fails before it has better ones.
        self.previous: Record = {} if job.fresh or self.found is None else self.found
        kept = {name: self.previous.get(name) for name in ("fit_seconds", "score_seconds")}
        self.content: dict[str, Any] = kept | {
            "status": "ok",
            "reason": None,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": self.previous.get("rows", []),
            "losses": self.previous.get("losses", {}),
            "curve": self.previous.get("curve", []),
        }

    def run(self) -> None:
        if not self.job.rescore and is_finished(self.job, self.previous):
            log.info("a finished record lies here already")
            return
        failure = None
        try:
            self._work()
        except BaseException as error:
            log.exception("the cell failed")
            failure = _status_of(error), describe(error)
        self.content["peak_rss_mb"] = round(_peak_rss_mb(), 1)
        if failure is None:
            self.job.write_record(**self.content)
        else:
            del self.content["status"], self.content["reason"]
            with_failure(self.job, self.found, *failure, **self.content)

    def _end(self, status: str, reason: str) -> None:
        self.content |= {"status": status, "reason": reason}

    def _work(self) -> None:
        cell = self.job.cell
        torch.set_num_threads(cell.threads)
        keep_freed_memory()
        self._progress("data")
        data = _build(cell.dataset_plugin, cell.dataset_parameters).load()
        if data.sha256 != cell.data_sha256:
            raise RuntimeError("the data changed after the run was planned; run the command again")
        if code_digest(cell.plugin.module, cell.plugin.file) != cell.code_sha256:
            raise RuntimeError(
                "the code of the method changed after the run was planned; run the command again"
            )
        if reason := _other_libraries(cell.libraries):
            raise RuntimeError(
                f"this machine has other libraries than the run was planned with: {reason}"
            )
        method = _build(cell.plugin, cell.parameters)
        if reason := method.skip(data):
            self._end("skipped", reason)
            return
        sizes = asdict(self.job.sizes)
        ctx = ScoreContext(torch.device(cell.device), cell.seed, data, **sizes)
        guard = Unchanged(data, ctx)
        if self.previous.get("fit_seconds") is None or not self._can_load():
            self._fit(method, data, ctx)
            guard.check("fit")
        # The saved model is scored, so that a restart would give the same scores.
        trained = cell.plugin.load().load(self.model, device=cell.device)
        ctx.curve = self.content["curve"]
        self._score(trained, data, ctx, guard)

    def _can_load(self) -> bool:
        """Return whether the folder has a model that can be loaded; otherwise it is trained."""
        if not self.model.is_dir():
            return False
        try:
            self.job.cell.plugin.load().load(self.model, device=self.job.cell.device)
        except Exception:
            log.exception("the model that lies here cannot be loaded; training it again")
            return False
        log.info("scoring the model that lies here")
        return True

    @property
    def model(self) -> Path:
        return self.job.folder / "model"

    def _fit(self, method: Method, data: Data, scoring: ScoreContext) -> None:
        cell = self.job.cell
        phase, losses = {"step": 0, "began": 0.0}, Losses()
        self.content |= {"fit_seconds": None, "losses": {}, "curve": [], "rows": []}

        def on_progress(step: int, steps: int, seconds: float, values: dict[str, float]) -> None:
            # A method that trains in two phases counts its steps from the start again.
            if step <= phase["step"]:
                phase["began"] = seconds
            phase["step"] = step
            kept = losses.add(step, values)
            self.content["losses"] = losses.points()
            elapsed = seconds - phase["began"]
            self._progress("fit", step=step, steps=steps, seconds=elapsed, losses=kept)

        budget = Budget(cell.steps, cell.batch_size, cell.seconds)
        curve = kind_of(data).curve(data, scoring, cell.steps, self.content["curve"])
        ctx = FitContext(budget, cell.seed, cell.device, on_progress, curve)
        self._progress("fit", step=0, steps=cell.steps, seconds=0.0, losses={})
        method.fit(data, ctx)
        seconds = ctx.seconds
        ctx.report_held_back()
        log.info("fit: %.2f s", seconds)
        if curve is not None:
            curve.finish(int(phase["step"]), seconds, method)
        temporary = self.model.with_name("model.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        method.save(temporary)
        shutil.rmtree(self.model, ignore_errors=True)
        temporary.rename(self.model)
        self.content["fit_seconds"] = round(seconds, 3)

    def _score(self, method: Method, data: Data, ctx: ScoreContext, guard: Unchanged) -> None:
        job, started = self.job, time.perf_counter()
        kept = self.content["rows"]
        everything = job.rescore or not kept
        wanted = job.metrics if everything else missing_metrics(job, self.previous)
        if not kept:
            # After a new training, all metrics of the earlier record are scored again.
            wanted = _joined(wanted, (self.found or {}).get("rows", []))
        digests = score_digests(wanted, job.sizes)
        if any(job.digests.get(name, digest) != digest for name, digest in digests.items()):
            raise RuntimeError("metrics changed after the run was planned; run the command again")
        stages: list[str] = []

        def on_stage(task: str) -> None:
            if stages:
                guard.check(f"task {stages[-1]}")
            stages.append(task)
            self._progress(task)

        rows = [
            row | {"score_sha256": digests[f"{row['task']}/{row['text']}"]}
            for row in score(method, data, ctx, wanted, job.unavailable, on_stage=on_stage)
        ]
        if stages:
            guard.check(f"task {stages[-1]}")
        self.content["rows"] = merge_rows(kept, rows)
        self.content["score_seconds"] = round(time.perf_counter() - started, 3)
        lost = self._lost(method, data, ctx)
        if lost is not None:
            self._end(lost.status, lost.reason)
        elif any(row["status"] == "failed" for row in rows):
            reasons = {row["reason"] for row in rows if row["status"] == "failed"}
            self._end("failed", "; ".join(sorted(reasons)))
            return
        self._progress("pictures")
        try:
            with whole(job.folder / "gallery.npz") as path:
                kind_of(data).write_gallery(path, method, data, ctx)
        except Exception:
            log.exception("the pictures failed; the scores stand")

    def _lost(self, method: Method, data: Data, ctx: ScoreContext) -> Lost | None:
        if self.job.reference or self.job.cell.steps < JUDGED_FROM:
            return None
        by_output = kind_of(data).lost(method, data, ctx, self.content["rows"])
        return by_output or of_losses(self.content["losses"])

    def _progress(self, stage: str, **content: Any) -> None:
        write_json(self.job.folder / FILE, {"stage": stage, **content})


def _joined(wanted: dict[str, list[str]], rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the requested metrics, by task, together with those of existing rows."""
    joined = {task: list(texts) for task, texts in wanted.items()}
    for row in rows:
        texts = joined.setdefault(row["task"], [])
        if row["text"] not in texts:
            texts.append(row["text"])
    return joined


def _other_libraries(planned: dict[str, str]) -> str:
    """Name the libraries whose versions decide numbers and are not those of the plan."""
    here = libraries()
    return ", ".join(
        f"{name} {here.get(name, 'not installed')} for {planned.get(name, 'none')}"
        for name in sorted(here.keys() | planned.keys())
        if here.get(name) != planned.get(name)
    )


def _build(plugin: Plugin, parameters: dict[str, Any]) -> Any:
    return instantiate(plugin.load(), Spec(plugin.name, tuple(parameters.items())))


def _status_of(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, Diverged):
        return DIVERGED
    text = str(error).lower()
    out_of_memory = isinstance(error, MemoryError) or "out of memory" in text
    return "oom" if out_of_memory or "can't allocate memory" in text else "failed"


def _peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
