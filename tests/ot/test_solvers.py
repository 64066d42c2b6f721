"""The batched solvers against a dense solve, and against each other."""

from __future__ import annotations

import sys

import pytest
import torch

from otbench.ot import solvers
from otbench.ot.grid import Grid, Mobilities
from otbench.ot.kernel import solve_lanes
from otbench.ot.solvers import solve_batch, solve_block_tridiagonal, solve_lapack

SOLVERS = [solve_lanes, solve_lapack, solve_block_tridiagonal]
SHAPES = [(1, 1), (8, 8), (5, 7), (7, 4), (1, 6), (6, 1), (2, 2), (3, 3), (9, 2), (16, 13)]


def system(shape, boundary, balanced, walls=False):
    generator = torch.Generator().manual_seed(7)
    density = torch.rand(5, *shape, generator=generator, dtype=torch.float64) + 1e-3
    obstacles = None
    if walls:
        obstacles = torch.zeros(shape, dtype=torch.bool)
        obstacles[shape[0] // 3, : shape[1] // 2] = True
    grid = Grid(*shape, boundary, obstacles)
    right = torch.randn(5, *shape, generator=generator, dtype=torch.float64)
    return grid.mobilities(density, None if balanced else density / 10), right


def dense(mobilities):
    diagonal = mobilities.diagonal.flatten(1)
    matrix = torch.diag_embed(diagonal)
    for i, j, u in mobilities.couplings():
        for n in range(len(matrix)):
            matrix[n].index_put_((i, j), -u[n], accumulate=True)
            matrix[n].index_put_((j, i), -u[n], accumulate=True)
    return matrix


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("boundary", ["noflux", "open", "periodic"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_a_dense_solve(solve, balanced, boundary, shape):
    for walls in (False, min(shape) > 3):
        mobilities, right = system(shape, boundary, balanced, walls)
        expected = torch.linalg.solve(dense(mobilities), right.flatten(1)).view(right.shape)
        error = (solve(mobilities, right) - expected).abs().max() / expected.abs().max()
        assert float(error) < 1e-8


@pytest.mark.parametrize("solve", SOLVERS)
def test_indefinite_matrix_is_an_error(solve):
    mobilities, right = system((4, 4), "noflux", False)
    mobilities.cells[3] = -5.0
    with pytest.raises(ValueError, match="system 3 is not positive definite"):
        solve(mobilities, right)


def test_cpu_takes_the_kernel_and_lapack_where_numba_is_absent(monkeypatch):
    mobilities, right = system((6, 6), "noflux", False)
    expected = solve_lanes(mobilities, right)
    assert solvers._cpu_solver() is solve_lanes
    assert torch.equal(solve_batch(mobilities, right), expected)
    monkeypatch.setitem(sys.modules, "otbench.ot.kernel", None)
    solvers._cpu_solver.cache_clear()
    try:
        assert solvers._cpu_solver() is solve_lapack
        torch.testing.assert_close(solve_batch(mobilities, right), expected)
    finally:
        solvers._cpu_solver.cache_clear()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 40])
def test_kernel_is_the_same_for_any_batch_and_threads(n):
    mobilities, right = system((7, 9), "noflux", False)
    repeated = [
        x.repeat(8, 1, 1)[:n]
        for x in (mobilities.vertical, mobilities.horizontal, mobilities.cells, right)
    ]
    before = torch.get_num_threads()
    solutions = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            solutions.append(solve_lanes(Mobilities(*repeated[:3], False), repeated[3]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*solutions)
    expected = solve_lanes(mobilities, right).repeat(8, 1, 1)[:n]
    assert torch.equal(solutions[0], expected)
