"""The batched solvers against a dense solve, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otbench.ot.dynamic.grid import Grid
from otbench.ot.dynamic.solvers import solve_batch, solve_block_tridiagonal, solve_lapack

SOLVERS = [solve_batch, solve_lapack, solve_block_tridiagonal]
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
        # NumPy's solver: torch's batched one can wait for ever inside MKL on two threads
        found = np.linalg.solve(dense(mobilities).numpy(), right.flatten(1).unsqueeze(-1).numpy())
        expected = torch.from_numpy(found).view(right.shape)
        error = (solve(mobilities, right) - expected).abs().max() / expected.abs().max()
        assert float(error) < 1e-8


@pytest.mark.parametrize("solve", SOLVERS)
def test_indefinite_matrix_is_an_error(solve):
    mobilities, right = system((4, 4), "noflux", False)
    mobilities.cells[3] = -5.0
    with pytest.raises(ValueError, match="system 3 is not positive definite"):
        solve(mobilities, right)
