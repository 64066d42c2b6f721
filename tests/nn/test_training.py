"""Optimiser, checkpoint and allocator settings."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from otbench.interface.training import Budget
from otbench.nn.training import Optimiser


def rates(schedule: str, steps: int) -> list[float]:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = Optimiser([weight], Budget(steps), lr=0.1, schedule=schedule)
    seen = []
    for _ in range(steps):
        seen.append(optimiser.adam.param_groups[0]["lr"])
        optimiser.step((weight - 1) ** 2)
    return seen


def test_one_cycle_rises_to_its_peak_and_falls_to_almost_nothing():
    seen = rates("one-cycle", 100)
    assert seen[0] == pytest.approx(0.1 / 25)
    assert max(seen) == pytest.approx(0.1, rel=1e-3)
    assert 25 <= seen.index(max(seen)) <= 35
    assert seen[-1] == pytest.approx(0.1 / 25 / 1e4, rel=1e-6)


def test_constant_stays_constant():
    assert set(rates("constant", 5)) == {0.1}


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_tiny_budgets_have_a_schedule(steps):
    assert len(rates("one-cycle", steps)) == steps


def test_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="one-cycle or constant"):
        rates("cosine", 3)


def test_clipping_bounds_the_norm_of_the_whole_gradient():
    weights = [nn.Parameter(torch.full((3,), 5.0)), nn.Parameter(torch.full((2,), 5.0))]
    optimiser = Optimiser(weights, Budget(2), clip=1.5)
    optimiser.step(sum((w**2).sum() for w in weights))
    norm = torch.cat([w.grad for w in weights]).norm().item()
    assert norm == pytest.approx(1.5, rel=1e-4)


FAULTS = """
import ctypes, json, resource, sys
from otbench.nn.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def churn():
    for _ in range(10):
        blocks = [ctypes.c_void_p(libc.malloc(2**22)) for _ in range(8)]
        for block in blocks:
            ctypes.memset(block, 1, 2**22)
        for block in blocks:
            libc.free(block)
churn()
start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(json.dumps([kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start]))
"""


def test_freed_memory_is_kept_where_the_c_library_allows_it():
    faults = {}
    for mode in ("keep", "default"):
        run = subprocess.run(
            [sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True
        )
        kept, faults[mode] = json.loads(run.stdout)
        if mode == "keep" and not kept:
            pytest.skip("not glibc")
    assert faults["keep"] < faults["default"] / 4


def test_a_constant_rate_may_be_halved():
    weight = torch.nn.Parameter(torch.ones(1))
    optimiser = Optimiser([weight], Budget(8), 0.1, "constant", milestones=(0.75, 0.5))
    seen = []
    for _ in range(8):
        seen.append(optimiser.adam.param_groups[0]["lr"])
        optimiser.step((weight**2).sum())
    assert seen == pytest.approx([0.1] * 4 + [0.05] * 2 + [0.025] * 2)
