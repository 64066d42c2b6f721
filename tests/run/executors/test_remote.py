"""What becomes of cells whose batch ends early: on an engine that does what a test tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otbench.results.cell import write_json
from otbench.results.job import Job
from otbench.run.executors import remote
from otbench.run.executors.base import ExecutorOptions
from otbench.run.executors.remote import Batch, End, Engine, RemoteExecutor
from tests.results.small import make_cell, make_job, write_record
from tests.run.executors.running import Watched

NODE = End("failed", "the node died")
LIMIT = End("timeout", "the time is over", blames=True, unless_late=True)
MEMORY = End("oom", "no memory", blames=True)
CANCELLED = End("interrupted", "cancelled", final=True)


def finish(job: Job) -> None:
    """Do what a worker does at its end."""
    write_record(job.folder.parents[2], job.cell, rows=[])
    job.write_record(**_content(job))
    job.request.unlink()


def _content(job: Job) -> dict[str, object]:
    record = job.record()
    assert record is not None
    kept = ("status", "reason", "rows", "fit_seconds", "score_seconds", "peak_rss_mb")
    return {name: record[name] for name in (*kept, "started_at", "losses", "curve")}


def begin(job: Job) -> None:
    write_json(job.folder / "progress.json", {"stage": "fit", "step": 1, "steps": 2})


Play = Callable[[list[Job]], End | None]
"""What happens to a batch between two looks; returns why it is over, if it is."""


@dataclass
class Played:
    """An engine that plays one thing for each batch, in the order of submission."""

    plays: Iterator[Play]
    at_once: int = 1000
    poll_seconds: float = 0.0
    submitted: list[list[int]] = field(default_factory=list)
    cancelled: bool = False
    _open: dict[str, tuple[list[Job], Play]] = field(default_factory=dict)

    def submit(self, batches: Sequence[list[Job]]) -> list[Batch]:
        made = []
        for jobs in batches:
            name = str(len(self.submitted))
            self.submitted.append([job.cell.seed for job in jobs])
            self._open[name] = (list(jobs), next(self.plays))
            made.append(Batch(name, list(jobs)))
        return made

    def ended(self, batches: Sequence[Batch]) -> dict[str, End]:
        found = {}
        for batch in batches:
            if batch.id in self._open:
                jobs, play = self._open.pop(batch.id)
                end = play(jobs)
                if end is not None:
                    found[batch.id] = end
        return found

    def cancel(self, batches: Sequence[Batch]) -> None:
        self.cancelled = True


@dataclass
class PlayedExecutor(RemoteExecutor):
    """Four cells in a batch, three tries."""

    played: Played | None = None

    @contextmanager
    def engine(self, jobs: list[Job], options: ExecutorOptions) -> Iterator[Engine]:
        assert self.played is not None
        yield self.played

    @property
    def batch_size(self) -> int:
        return 4

    @property
    def attempts(self) -> int:
        return 3


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "SETTLE_SECONDS", 0.0)


def cells(out: Path, number: int = 4) -> list[Job]:
    """Write the requests of some cells, which differ in the seed."""
    jobs = [make_job(out, make_cell(seed=seed)) for seed in range(number)]
    for job in jobs:
        job.write()
    return jobs


def run(jobs: list[Job], out: Path, *plays: Play) -> tuple[list[str], Played, Watched]:
    """Play; return the statuses, what was submitted, and what was observed."""
    played, watched = Played(iter(plays)), Watched()
    executor = PlayedExecutor(played)
    executor.run(jobs, ExecutorOptions(2, None, 0, out), watched)
    watched.check(jobs)
    return [(job.record() or {})["status"] for job in jobs], played, watched


def ends(after: int, end: End, at_work: bool = True) -> Play:
    """Finish some cells, begin the next one, and be over."""

    def play(jobs: list[Job]) -> End:
        for job in jobs[:after]:
            finish(job)
        if at_work and after < len(jobs):
            begin(jobs[after])
        return end

    return play


def well(jobs: list[Job]) -> None:
    for job in jobs:
        finish(job)


def test_all_goes_well(tmp_path: Path) -> None:
    found, played, _ = run(cells(tmp_path, 6), tmp_path, well, well)
    assert found == ["ok"] * 6
    assert played.submitted == [[0, 2, 4], [1, 3, 5]]


def test_a_node_that_dies_is_no_cells_fault(tmp_path: Path) -> None:
    found, played, _ = run(cells(tmp_path), tmp_path, ends(1, NODE), ends(0, NODE), well)
    assert found == ["ok"] * 4
    assert played.submitted == [[0, 1, 2, 3], [1, 2, 3], [1, 2, 3]]


def test_a_cell_that_is_at_work_whenever_a_node_dies_is_given_up(tmp_path: Path) -> None:
    plays = (ends(1, NODE), ends(0, NODE, at_work=True), ends(0, NODE), well)
    found, played, watched = run(cells(tmp_path, 2), tmp_path, *plays)
    assert found == ["ok", "failed"]
    assert watched.records[make_cell(seed=1).key]["reason"] == "the node died"
    assert played.submitted == [[0, 1], [1], [1]]


def test_batches_that_never_begin_are_given_up(tmp_path: Path) -> None:
    plays = [ends(0, NODE, at_work=False)] * 3
    found, played, _ = run(cells(tmp_path, 2), tmp_path, *plays)
    assert found == ["failed"] * 2
    assert played.submitted == [[0, 1]] * 3


def test_at_a_time_limit_only_a_cell_that_had_all_the_time_is_at_fault(tmp_path: Path) -> None:
    found, played, _ = run(cells(tmp_path), tmp_path, ends(1, LIMIT), ends(0, LIMIT), well)
    assert found == ["ok", "timeout", "ok", "ok"]
    assert played.submitted == [[0, 1, 2, 3], [1, 2, 3], [2, 3]]


def test_want_of_memory_is_the_fault_of_the_cell_at_work(tmp_path: Path) -> None:
    found, played, _ = run(cells(tmp_path), tmp_path, ends(2, MEMORY), well)
    assert found == ["ok", "ok", "oom", "ok"]
    assert played.submitted == [[0, 1, 2, 3], [3]]


def test_what_a_user_cancels_is_not_tried_again(tmp_path: Path) -> None:
    found, played, _ = run(cells(tmp_path), tmp_path, ends(1, CANCELLED))
    assert found == ["ok"] + ["interrupted"] * 3
    assert len(played.submitted) == 1


def test_a_failure_leaves_an_earlier_result_in_place(tmp_path: Path) -> None:
    jobs = cells(tmp_path, 1)
    write_record(tmp_path, jobs[0].cell, rows=[])
    jobs[0].write_record(**_content(jobs[0]), **{"attempt": "earlier"})
    _, _, watched = run(jobs, tmp_path, ends(0, MEMORY))
    (record,) = watched.records.values()
    assert record["status"] == "ok"
    assert record["last_attempt"]["status"] == "oom"


def test_a_worker_that_wrote_no_record_has_failed(tmp_path: Path) -> None:
    def silent(jobs: list[Job]) -> None:
        for job in jobs:
            job.request.unlink()

    found, _, watched = run(cells(tmp_path, 1), tmp_path, silent)
    assert found == ["failed"]
    assert "without a record of its own" in next(iter(watched.records.values()))["reason"]


def test_an_interrupted_run_records_what_was_at_work(tmp_path: Path) -> None:
    jobs = cells(tmp_path, 4)

    def interrupted(jobs: list[Job]) -> None:
        finish(jobs[0])
        begin(jobs[1])
        raise KeyboardInterrupt

    played, watched = Played(iter([interrupted])), Watched()
    with pytest.raises(KeyboardInterrupt):
        PlayedExecutor(played).run(jobs, ExecutorOptions(2, None, 0, tmp_path), watched)
    assert played.cancelled
    found = [(job.record() or {}).get("status") for job in jobs]
    assert found == ["ok", "interrupted", None, None]
    # Nothing is left that anybody could still run.
    assert not list(tmp_path.rglob("request-*"))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_cell_ends_once_whatever_happens(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("out")
    reasons = (NODE, LIMIT, MEMORY, CANCELLED)

    def anything() -> Iterator[Play]:
        while True:
            after = data.draw(st.integers(0, 4))
            end, at_work = data.draw(st.sampled_from(reasons)), data.draw(st.booleans())
            yield data.draw(st.sampled_from((well, ends(after, end, at_work))))

    jobs, watched = cells(out, data.draw(st.integers(1, 9))), Watched()
    played = Played(anything())
    PlayedExecutor(played).run(jobs, ExecutorOptions(2, None, 0, out), watched)
    watched.check(jobs)
    assert not list(out.rglob("request-*"))
