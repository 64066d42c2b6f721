"""Batched direct solvers for the five-point systems of the path energy."""

from __future__ import annotations

import torch
from torch import Tensor

from otbench.ot.dynamic.grid import Mobilities

CHUNK = 16
"""Number of systems whose bands the LAPACK solver holds in memory at once."""


def solve_batch(system: Mobilities, b: Tensor) -> Tensor:
    """Solve a batch of positive definite systems directly, on the device they are on.

    Parameters
    ----------
    system : Mobilities
        n systems on a grid of h x w cells.
    b : Tensor, shape (n, h, w), float64

    Returns
    -------
    Tensor, shape (n, h, w), float64

    Raises
    ------
    ValueError
        If a matrix is not positive definite.
    """
    if b.device.type != "cpu":
        return solve_block_tridiagonal(system, b)
    return solve_lapack(system, b)


def _narrow(system: Mobilities, b: Tensor) -> tuple[Mobilities, Tensor, bool]:
    """Transpose the grid if needed, so that its rows, and thus the band, are short."""
    if b.shape[-1] <= b.shape[-2]:
        return system, b, False
    return system.transposed(), b.mT, True


def _positions(system: Mobilities) -> tuple[Tensor, int]:
    """Assign numbers to the cells so that the band is narrow.

    Returns
    -------
    positions : Tensor, shape (h * w,)
        Row by row; on a periodic grid the rows are folded (first, last, second, ...), so that
        the joined rims are adjacent.
    bandwidth : int
        Greatest difference between the numbers of two coupled cells.
    """
    _, height, width = system.cells.shape
    rows = torch.arange(height, device=system.cells.device)
    if system.periodic:
        rows = torch.where(2 * rows < height, 2 * rows, 2 * (height - 1 - rows) + 1)
    columns = torch.arange(width, device=system.cells.device)
    positions = (rows.unsqueeze(1) * width + columns).flatten()
    return positions, (1 + system.periodic) * width


def solve_lapack(system: Mobilities, b: Tensor) -> Tensor:
    """Solve by LAPACK's banded Cholesky factorisation (``pbsv``), system by system.

    Takes and returns the same as `solve_batch`, and runs on the CPU.
    """
    from scipy.linalg import LinAlgError, solveh_banded

    system, b, turned = _narrow(system, b)
    positions, bandwidth = _positions(system)
    order = positions.argsort()
    n, cells = len(b), len(positions)
    right = b.flatten(1)[:, order].numpy()
    diagonal = system.diagonal.flatten(1)[:, order]
    couplings = [
        ((positions[i] - positions[j]).abs(), torch.minimum(positions[i], positions[j]), u)
        for i, j, u in system.couplings()
    ]
    solution = torch.empty(n, cells, dtype=b.dtype)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        bands = torch.zeros(len(diagonal[part]), min(bandwidth, cells - 1) + 1, cells).double()
        bands[:, 0] = diagonal[part]
        for distance, first, u in couplings:
            bands[:, distance, first] -= u[part]
        for k, band in enumerate(bands.numpy(), start):
            try:
                found = solveh_banded(
                    band, right[k], overwrite_ab=True, lower=True, check_finite=False
                )
            except LinAlgError as error:
                raise ValueError(f"system {k} is not positive definite: {error}") from error
            solution[k] = torch.from_numpy(found)
    solution = solution[:, positions].view(b.shape)
    return solution.mT if turned else solution


def solve_block_tridiagonal(system: Mobilities, b: Tensor) -> Tensor:
    """Solve by a block-tridiagonal Cholesky factorisation in torch, all systems at once.

    One block is a row of the grid, or two folded rows if the grid is periodic. The work is dense
    within a block, which suits a GPU; the CPU runs the same code. Takes and returns the same as
    `solve_batch`.
    """
    system, b, turned = _narrow(system, b)
    positions, size = _positions(system)
    n, cells = len(b), len(positions)
    blocks = -(-cells // size)

    def padded(values: Tensor, fill: float) -> Tensor:
        out = values.new_full((n, blocks * size), fill)
        out[:, positions] = values.flatten(1)
        return out.view(n, blocks, size)

    diagonal = torch.diag_embed(padded(system.diagonal, 1.0))
    below = diagonal.new_zeros(n, blocks, size, size)
    for i, j, u in system.couplings():
        low, high = (
            torch.minimum(positions[i], positions[j]),
            torch.maximum(positions[i], positions[j]),
        )
        same = low // size == high // size
        block, row, column = low // size, high % size, low % size
        for one, other in ((row, column), (column, row)):
            diagonal[:, block[same], one[same], other[same]] -= u[:, same]
        below[:, block[~same], row[~same], column[~same]] -= u[:, ~same]

    right = padded(b, 0.0).unsqueeze(-1)
    factors: list[Tensor] = []
    halves: list[Tensor] = []
    values: list[Tensor] = []
    for k in range(blocks):
        pivot, value = diagonal[:, k], right[:, k]
        if k:
            pivot = pivot - halves[-1] @ halves[-1].mT
            value = value - halves[-1] @ values[-1]
        factor, info = torch.linalg.cholesky_ex(pivot)
        if bool((info != 0).any()):
            raise ValueError(f"system {int(info.nonzero()[0])} is not positive definite")
        factors.append(factor)
        values.append(torch.linalg.solve_triangular(factor, value, upper=False))
        if k + 1 < blocks:
            halves.append(torch.linalg.solve_triangular(factor, below[:, k].mT, upper=False).mT)
    solution = [torch.empty(0)] * blocks
    for k in reversed(range(blocks)):
        value = values[k]
        if k + 1 < blocks:
            value = value - halves[k].mT @ solution[k + 1]
        solution[k] = torch.linalg.solve_triangular(factors[k].mT, value, upper=True)
    flat = torch.cat(solution, 1).squeeze(-1)[:, positions].view(b.shape)
    return flat.mT if turned else flat
