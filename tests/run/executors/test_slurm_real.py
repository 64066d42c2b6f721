"""The executor `slurm` on a real SLURM of two nodes, with what goes wrong on a cluster."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otbench.run.executors.slurm import SlurmExecutor
from otbench.run.runner import Outcome
from tests.run.executors.running import outcome_of, statuses
from tests.run.executors.slurm_cluster import NODES, Cluster, cluster, missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@pytest.fixture
def submits(
    slurm: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run cells on the cluster."""
    pytest.importorskip("submitit")
    for name in NODES:
        if slurm.processes[name].poll() is not None:
            slurm.start_node(name)
    slurm.wait_for(*NODES)
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm.environment[name])
    monkeypatch.setenv("MOOD", str(tmp_path))

    def run(*methods: str, seeds: int = 1, timeout: float | None = None, **parameters: object):
        executor = SlurmExecutor(**{"poll": 1.0, **parameters})
        out = tmp_path / "results"
        return outcome_of(executor, out, *methods, seeds=seeds, timeout=timeout)

    return run


def test_arrays_of_jobs_bring_all_records_and_keep_logs(
    submits: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = submits("plain", "dies", "hangs", seeds=2, timeout=5, cells_per_job=3)
    assert statuses(outcome) == {
        "plain-0": "ok", "plain-1": "ok", "dies-0": "failed", "dies-1": "failed",
        "hangs-0": "timeout", "hangs-1": "timeout",
    }  # fmt: skip
    reasons = {record["reason"] for record in outcome.records}
    assert reasons == {
        None, "killed after 5 s", "the process died of SIGSEGV; see cell.log",
    }  # fmt: skip
    (logs,) = (tmp_path / "results" / "slurm").iterdir()
    assert len(list(logs.glob("*_0_log.out"))) == 2
    assert len(list(logs.glob("*_submission.sh"))) == 1
    assert not list(logs.glob("*.pkl"))
    assert not list((tmp_path / "results").rglob("request-*"))


def test_a_node_that_dies_loses_nothing(
    submits: Callable[..., Outcome], slurm: Cluster, tmp_path: Path
) -> None:
    """Both nodes work on their second cell; one is killed with all its processes."""
    kept: dict[Path, int] = {}

    def kill() -> None:
        while len(list((tmp_path / "results").rglob("progress.json"))) < 4:
            time.sleep(0.2)
        slurm.kill_node("n1")
        for path in (tmp_path / "results").rglob("record.json"):
            kept[path] = path.stat().st_mtime_ns

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = submits("plain[seconds=6]", seeds=6, cells_per_job=3)
    killer.join()
    assert set(statuses(outcome).values()) == {"ok"}
    # SLURM itself has put the job back into the queue, and what had ended was not run again.
    assert "Restarts=1" in slurm.call("scontrol", "show", "job", "--all")
    assert len(kept) >= 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_job_past_its_time_limit_loses_nothing(submits: Callable[..., Outcome]) -> None:
    """Of three cells in a job the second one hangs: it alone fails, after a job of its own."""
    outcome = submits("plain", "hangs", "plain[seconds=1]", cells_per_job=3, time=1, requeue=0)
    assert statuses(outcome) == {
        "plain-0": "ok", "hangs-0": "timeout", "plain[seconds=1]-0": "ok",
    }  # fmt: skip
    (reason,) = {record["reason"] for record in outcome.records if record["status"] == "timeout"}
    assert reason.startswith("SLURM job ")
    assert reason.endswith("reached its time limit")


def test_cancelled_jobs_are_interrupted_and_the_same_command_goes_on(
    submits: Callable[..., Outcome], slurm: Cluster, tmp_path: Path
) -> None:
    def cancel() -> None:
        while not list((tmp_path / "results").rglob("progress.json")):
            time.sleep(0.2)
        slurm.call("scancel", "--user=root")

    thread = threading.Thread(target=cancel)
    thread.start()
    outcome = submits("hangs-once", seeds=3)
    thread.join()
    assert set(statuses(outcome).values()) == {"interrupted"}
    assert all("was cancelled" in record["reason"] for record in outcome.records)
    again = submits("hangs-once", seeds=3, timeout=20)
    # A cell that had not begun before hangs now.
    assert set(statuses(again).values()) <= {"ok", "timeout"}
    assert "ok" in statuses(again).values()


def test_an_interrupted_run_leaves_no_job(
    submits: Callable[..., Outcome], slurm: Cluster, tmp_path: Path
) -> None:
    import _thread

    def interrupt() -> None:
        while not list((tmp_path / "results").rglob("progress.json")):
            time.sleep(0.2)
        time.sleep(2)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        submits("hangs", seeds=3)
    deadline = time.monotonic() + 30
    while slurm.call("squeue", "--noheader", "--states=running,pending").strip():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("record.json")]
    assert records
    assert {record["status"] for record in records} == {"interrupted"}
    assert not list(tmp_path.rglob("request-*"))


def test_what_slurm_refuses_is_said(submits: Callable[..., Outcome], tmp_path: Path) -> None:
    from otbench.errors import UsageError

    with pytest.raises(UsageError, match=r"SLURM takes no job: .*partition"):
        submits("plain", partition="nowhere")
    assert not list(tmp_path.rglob("request-*"))
