"""The executor `slurm` without a SLURM: what it asks for, how it reads answers, and its jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otbench.errors import DataError, ParameterError, UsageError
from otbench.run.executors import slurm, slurm_states
from otbench.run.executors.slurm import SlurmExecutor
from otbench.run.executors.slurm_states import State, end_of, largest_array, states_of
from otbench.run.request import Plan
from tests.results.small import make_cell, make_job
from tests.run.executors.running import Watched, execute, jobs_of, plan_of

submitit = pytest.importorskip("submitit")

from tests.run.executors.slurm_here import Here, run_here  # noqa: E402


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of("plain", "dies", seeds=2)


def settings(tmp_path: Path, timeout: float | None = None, **parameters: Any) -> dict[str, Any]:
    device = parameters.pop("device", "cpu")
    job = make_job(tmp_path, make_cell(threads=2, device=device))
    found = SlurmExecutor(**parameters).options_of_sbatch(job, timeout, at_once=7)
    return {name: value for name, value in found.items() if value is not None}


def test_resources_come_from_the_cells(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    assert plain["cpus_per_task"] == 2
    assert plain["array_parallelism"] == 7
    assert plain["additional_parameters"] == {"requeue": True}
    # Without a timeout the partition decides, and nobody asked for memory or GPUs.
    assert not {"time", "mem", "gpus_per_node", "partition"} & set(plain)
    # 3 cells of 90 s are 4.5 minutes, rounded up.
    assert settings(tmp_path, timeout=90, cells_per_job=3)["time"] == 5 + slurm.START_MINUTES
    assert settings(tmp_path, timeout=90, time=60)["time"] == 60
    assert settings(tmp_path, memory=1.5)["mem"] == "1536MB"
    assert settings(tmp_path, device="cuda")["gpus_per_node"] == 1
    assert "gpus_per_node" not in settings(tmp_path, device="cuda", gpus=0)
    more = settings(tmp_path, requeue=0, sbatch=("nice=100", "exclusive"))
    assert more["additional_parameters"] == {"no-requeue": True, "nice": "100", "exclusive": True}


def test_submitit_takes_all_that_is_set(tmp_path: Path) -> None:
    named = {name: "x" for name in slurm.DIRECT}
    asked = settings(tmp_path, 60, memory=2, gpus=1, setup=("module load x",), **named)
    text = submitit.slurm.slurm._make_sbatch_string("true", tmp_path, map_count=3, **asked)
    wanted = (
        "partition=x account=x qos=x time=6 mem=2048MB gpus-per-node=1 requeue array=0-2%3 "
        "cpus-per-task=2"
    )
    assert {f"#SBATCH --{option}" for option in wanted.split()} <= set(text.splitlines())
    assert "\nmodule load x\n" in text
    assert "srun --unbuffered" in text


@pytest.mark.parametrize("option", ["--nice=1", "nice 1", "", "Nice=1"])
def test_options_of_sbatch_are_checked(option: str) -> None:
    with pytest.raises(ParameterError, match=r"slurm: sbatch: write name=value"):
        SlurmExecutor(sbatch=(option,))


def answering(monkeypatch: pytest.MonkeyPatch, **answers: tuple[int, str, str]) -> None:
    """Have SLURM's commands answer with exit code, output and errors."""
    monkeypatch.setattr(
        slurm_states, "_ask", lambda name, *arguments: answers.get(name, (1, "", "unreachable"))
    )


QUEUE = "17_0|RUNNING|None\n17_1|TIMEOUT|TimeLimit\n17_2|PENDING|PartitionTimeLimit\n"


def test_states_come_from_the_queue_and_then_from_accounting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounting = "17_3|CANCELLED by 1000|None\n17_3.batch|FAILED|None\n"
    answering(monkeypatch, squeue=(0, QUEUE, ""), sacct=(0, accounting, ""))
    found = states_of(["17_0", "17_1", "17_2", "17_3", "17_4"])
    assert found == {
        "17_0": State("RUNNING", "None"),
        "17_1": State("TIMEOUT", "TimeLimit"),
        "17_2": State("PENDING", "PartitionTimeLimit"),
        "17_3": State("CANCELLED", "None"),
        "17_4": State(slurm_states.UNKNOWN),
    }
    over = {name for name, state in found.items() if state.over}
    assert over == {"17_1", "17_3", "17_4"}


def test_a_controller_that_does_not_answer_says_nothing_of_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch)
    assert states_of(["17"]) is None
    # Long after its end a job is unknown to the queue, and accounting may be off.
    answering(monkeypatch, squeue=(1, "", "slurm_load_jobs error: Invalid job id specified"))
    assert states_of(["17"]) == {"17": State(slurm_states.UNKNOWN)}


def test_the_largest_array_is_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, scontrol=(0, "KillWait = 30 sec\nMaxArraySize            = 11\n", ""))
    assert largest_array() == 11
    answering(monkeypatch)
    assert largest_array() == slurm_states.DEFAULT_ARRAY


@pytest.mark.parametrize(
    ("state", "status", "blames", "final", "says"),
    [
        ("TIMEOUT", "timeout", True, False, "reached its time limit"),
        ("OUT_OF_MEMORY", "oom", True, False, "ran out of memory"),
        ("CANCELLED", "interrupted", False, True, "was cancelled"),
        ("NODE_FAIL", "failed", False, False, "ended as NODE_FAIL"),
        ("FAILED", "failed", False, False, "ended as FAILED (NonZeroExitCode); see LOG"),
        ("UNKNOWN", "failed", False, False, "is not known any more"),
    ],
)
def test_what_an_end_means(state: str, status: str, blames: bool, final: bool, says: str) -> None:
    end = end_of("17_3", State(state, "NonZeroExitCode" if state == "FAILED" else "None"), "LOG")
    assert (end.status, end.blames, end.final) == (status, blames, final)
    assert end.reason.startswith("SLURM job 17_3 ")
    assert says in end.reason


def test_what_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no sbatch, srun, squeue on this machine"):
        SlurmExecutor().check()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'otbench-suite\[slurm\]'"):
        SlurmExecutor().check()


def test_jobs_bring_their_cells_to_records(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs of two cells, submitted by submitit and run on this machine."""
    run_here(monkeypatch)
    jobs, watched, said = jobs_of(plan, tmp_path), Watched(), list[str]()
    executor = SlurmExecutor(cells_per_job=2, poll=0.1)
    execute(executor, jobs, tmp_path, watched, timeout=60, say=said.append)
    watched.check(jobs)
    found = sorted(record["status"] for record in watched.records.values())
    assert found == ["failed", "failed", "ok", "ok"]
    assert ", an array of 2, for 4 cells; logs in " in said[0]
    assert [job._process.wait(timeout=30) for job in Here.made] == [0, 0]
    (logs,) = (tmp_path / "slurm").iterdir()
    assert not list(logs.glob("*.pkl"))
    written = "".join(path.read_text() for path in logs.glob("*_log.out"))
    assert written.count("\nok /") == 2
    assert written.count("\nfailed /") == 2


def test_a_cell_that_was_at_work_at_each_restart_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [make_job(tmp_path, make_cell(seed=seed)) for seed in range(2)]
    for job in jobs:
        job.write()
    (jobs[0].folder / "progress.json").write_text("{}")
    slurm._give_up([str(job.request) for job in jobs], restarts=3)
    record = jobs[0].record()
    assert record is not None
    assert record["status"] == "failed"
    assert record["reason"] == "its SLURM job was started 4 times and never came to its end"
    assert [job.request.exists() for job in jobs] == [False, True]


def test_modules_of_executors_import_nothing_heavy() -> None:
    code = (
        "import sys, otbench.run.executors.slurm, otbench.run.executors.dask, otbench.cli.run;"
        "print({'torch', 'submitit', 'distributed', 'dask', 'numpy'} & set(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert ended.stdout.strip() == "set()", ended.stderr
