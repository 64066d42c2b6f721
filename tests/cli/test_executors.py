"""``--executor`` and what goes with it: refused early, by name, or passed on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otbench.run.executors.choose import make_executor
from otbench.run.executors.dask import DaskExecutor
from otbench.run.executors.local import LocalExecutor
from otbench.run.executors.slurm import SlurmExecutor
from tests.cli.conftest import Command


def test_flags_win_over_brackets_and_brackets_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "cluster.yml"
    config.write_text("partition: long\ncells-per-job: 5\ntime: 60\nsetup: [module load x, y]\n")
    made = make_executor("slurm[time=90,cells_per_job=7]", config, cells_per_job=9, scheduler=None)
    assert made == SlurmExecutor(
        partition="long", cells_per_job=9, time=90, setup=("module load x", "y")
    )
    assert make_executor("local") == LocalExecutor()
    assert make_executor("dask", scheduler="tcp://node:8786") == DaskExecutor("tcp://node:8786")
    assert make_executor("dask:tcp://node:8786") == DaskExecutor("tcp://node:8786")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--executor", "slrum"), "unknown executor 'slrum'; did you mean slurm"),
        (("--executor", "local,dask"), "name one executor"),
        (("--executor", "slurm[partitoin=x]"), "did you mean partition"),
        (("--executor", "slurm[time=soon]"), "slurm: time must be a whole number or none"),
        (("--executor", "dask[retries=-1]"), "dask: retries must be at least 0, got -1"),
        (("--cells-per-job", "2"), "--cells-per-job: executor local has no such parameter"),
        (("--scheduler", "tcp://x:1"), "--scheduler: executor local has no such parameter"),
        (("--executor", "slurm", "--cells-per-job", "0"), "--cells-per-job wants a number"),
        (("--executor-config", "nowhere.yml"), "--executor-config nowhere.yml: "),
        (("--executor", "dask", "--scheduler", "nonsense:"), "no Dask scheduler answers at nons"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(
    otbench: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    pytest.importorskip("distributed")
    out = tmp_path / "results"
    ended = otbench("run", "--methods", "ae", "--dataset", "digits", "--out", out, *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not list(tmp_path.rglob("cell.json"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("partitoin: x\n", "unknown parameter of slurm 'partitoin'; did you mean partition?"),
        ("- partition\n", "it must hold keys and values"),
        ("partition: [\n", "while parsing"),
        ("partition: 3\n", "slurm: partition must be a text or none, got 3"),
        ("setup: [1]\n", "slurm: setup must be texts, got (1,)"),
    ],
)
def test_a_wrong_file_is_refused_by_name(
    otbench: Command, tmp_path: Path, content: str, message: str
) -> None:
    config = tmp_path / "cluster.yml"
    config.write_text(content)
    ended = otbench("run", "--executor", "slurm", "--executor-config", config)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_the_file_that_readme_shows_is_read(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (content,) = re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    config = tmp_path / "cluster.yml"
    config.write_text(content)
    made = make_executor("slurm", config)
    assert isinstance(made, SlurmExecutor)
    assert (made.partition, made.cells_per_job, made.memory) == ("main", 3, 1)


def test_parameters_are_shown(otbench: Command) -> None:
    assert [line.split()[0] for line in otbench("ls", "executors").out.splitlines()] == [
        "local", "slurm", "dask",
    ]  # fmt: skip
    shown = otbench("show", "slurm").out
    assert "cells_per_job = 1" in shown
    assert "time limit of a job in minutes" in shown
