"""How fast the path energy is: ``pytest tests/benchmarks --benchmark-only``.

The references only solve, with matrices made before the clock starts; ours computes energies and
gradients from the frames. So the ratios in the table are lower bounds. The reference of the
comparison is what the release of Feng & Strohmer does: one block-diagonal sparse matrix and
``scipy.sparse.linalg.spsolve``.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
import torch

from otbench.interface.training import Budget, FitContext
from otbench.ot.dynamic.grid import Grid
from otbench.ot.dynamic.path_energy import path_energy, to_density
from otbench_methods.autoencoders.ae import AE
from otbench_methods.autoencoders.path_energy import PathEnergyAE

PAIRS, STEPS = 9, 10


def fading_blobs(side: int) -> torch.Tensor:
    """Draw cross-fades between blobs on a faint floor, scaled to one mass."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(PAIRS, 2, 2, 1, 1, generator=generator) * 0.6 + 0.2
    axis = torch.linspace(0, 1, side)
    squared = (axis.view(-1, 1) - centres[:, :, 0]) ** 2 + (axis - centres[:, :, 1]) ** 2
    ends = to_density(torch.exp(-squared / (2 * 0.1**2)))
    ends = ends / ends.sum((-2, -1), keepdim=True)
    time = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64).view(1, -1, 1, 1)
    return (1 - time) * ends[:, :1] + time * ends[:, 1:]


def systems(side: int):
    frames = fading_blobs(side)
    density = ((frames[:, :-1] + frames[:, 1:]) / 2).flatten(0, 1)
    right = (frames[:, :-1] - frames[:, 1:]).flatten(0, 1)
    return Grid(side, side).mobilities(density, None), right


@pytest.mark.parametrize("side", [32, 64])
def test_block_diagonal_spsolve(benchmark, side):
    benchmark.group = f"{PAIRS * STEPS} systems of {side}x{side}"
    mobilities, right = systems(side)
    blocks = []
    for n in range(len(right)):
        matrix = scipy.sparse.diags_array(mobilities.diagonal[n].flatten().numpy()).tocsc()
        for i, j, u in mobilities.couplings():
            half = scipy.sparse.coo_array((-u[n].numpy(), (i.numpy(), j.numpy())), matrix.shape)
            matrix = matrix + half + half.T
        blocks.append(matrix)
    whole = scipy.sparse.block_diag(blocks, format="csc")
    benchmark.pedantic(
        scipy.sparse.linalg.spsolve, (whole, right.flatten().numpy()), rounds=5 if side == 32 else 2
    )


@pytest.mark.parametrize("side", [32, 64])
def test_solveh_banded_one_by_one(benchmark, side):
    benchmark.group = f"{PAIRS * STEPS} systems of {side}x{side}"
    mobilities, right = systems(side)
    bands = np.zeros((len(right), side + 1, side * side))
    bands[:, 0] = mobilities.diagonal.flatten(1)
    for i, j, u in mobilities.couplings():
        bands[:, j - i, i] = -u

    def solve() -> None:
        for band, b in zip(bands, right.flatten(1).numpy(), strict=True):
            scipy.linalg.solveh_banded(band, b, lower=True, check_finite=False)

    benchmark.pedantic(solve, rounds=5 if side == 32 else 2, warmup_rounds=1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("side", [32, 64])
def test_energy_and_gradient(benchmark, side, threads):
    benchmark.group = f"{PAIRS * STEPS} systems of {side}x{side}"
    frames = fading_blobs(side).requires_grad_()

    def run() -> None:
        torch.autograd.grad(path_energy(frames).sum(), frames)

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        benchmark.pedantic(run, rounds=50 if side == 32 else 20, warmup_rounds=3)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", [AE, PathEnergyAE])
def test_training_steps(benchmark, blobs, method):
    """Ten steps with a batch of 64 and the method's defaults (4 pairs, T = 10)."""
    benchmark.group = "10 training steps"
    context = FitContext(Budget(steps=10, batch_size=64))
    benchmark.pedantic(method().fit, (blobs, context), rounds=5, warmup_rounds=1)


MEMORY = f"""
import resource, torch
from otbench.ot.path_energy import path_energy
path_energy(torch.ones(2, 2, 4, 4, dtype=torch.float64).requires_grad_()).sum().backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = torch.rand({PAIRS}, {STEPS + 1}, 32, 32, dtype=torch.float64) + 0.1
frames = (frames / frames.sum((-2, -1), keepdim=True)).requires_grad_()
path_energy(frames).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_stays_under_100_megabytes():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    kilobytes = int(done.stdout) * (1 if sys.platform == "linux" else 1 / 1024)
    assert 0 < kilobytes < 100e3
