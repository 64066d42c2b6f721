"""Cells that are planned on one machine and run on another."""

from __future__ import annotations

import dataclasses
import os
import warnings

import pytest

from otbench.errors import UsageError
from otbench.plugins.pages import use_huge_pages
from otbench.run.preflight import choose_device, make_plan
from otbench.run.request import Plan
from otbench.run.worker import _other_libraries
from tests.run.executors.running import request


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_is_wanted_only_where_cells_run() -> None:
    with pytest.raises(UsageError, match="torch sees no CUDA device"):
        choose_device("cuda", here=True)
    assert choose_device("auto", here=False) == ("cpu", 0)
    asked = dataclasses.replace(request("plain"), device="cuda", here=False)
    plan: Plan = make_plan(asked)
    assert [entry["cell"]["device"] for entry in plan.cells] == ["cuda"]
    assert (plan.tried_on, plan.gpus) == ("cpu", 0)
    assert not plan.unavailable


def test_a_machine_with_other_libraries_is_named() -> None:
    from otbench.run.provenance import libraries

    here = libraries()
    assert _other_libraries(here) == ""
    assert _other_libraries(here | {"torch": "1.0"}) == f"torch {here['torch']} for 1.0"
    assert _other_libraries(here | {"quantum": "2.0"}) == "quantum not installed for 2.0"


def test_huge_pages_change_no_content() -> None:
    def made() -> list[bytes]:
        return [bytes([number]) * 100_000 for number in range(100)]

    kept = made()
    assert use_huge_pages() >= 0
    with warnings.catch_warnings():
        # The process of the tests has threads; the copy compares and ends.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        os._exit(0 if kept == made() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept == made()
