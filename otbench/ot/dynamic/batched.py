"""The path energy and its gradient on the CPU, by the compiled kernel.

A few systems of one grid are solved together in the lanes of vector registers, and groups of them
are distributed among threads. ``elimination.py`` plans the work; ``kernel.py`` has the inner loops.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otbench.ot.dynamic.elimination import elimination
from otbench.ot.dynamic.grid import Grid
from otbench.ot.dynamic.kernel import combine, solve_groups
from otbench.ot.dynamic.lanes import LANES


@lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Keep threads for reuse; a forked process starts its own, as it inherits none."""
    return ThreadPoolExecutor(threads)


def _regions(grid: Grid) -> NDArray[np.int64]:
    """List the cells of each closed region, preceded by their number."""
    listed = [region.flatten().nonzero()[:, 0].numpy() for region in grid.closed_regions]
    table = np.zeros((len(listed), 1 + max(map(len, listed), default=0)), np.int64)
    for row, cells in zip(table, listed, strict=True):
        row[0], row[1 : 1 + len(cells)] = len(cells), cells
    return table


def kernel_terms(
    frames: Tensor, grid: Grid, averaging: str, tau: float | None, gradient: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Solve all steps of all paths on the CPU, with the interface of `energy_terms`.

    It uses as many threads as torch may use (``torch.set_num_threads``).
    """
    paths, count, height, width = frames.shape
    steps, cells = count - 1, height * width
    plan = elimination(height, width, grid.boundary == "periodic")
    tables = (
        plan.cell_faces,
        plan.face_cells,
        plan.kept,
        plan.removed,
        plan.neighbours,
        plan.neighbour_faces,
        plan.pairs,
        plan.reach,
        plan.offset,
    )
    half_open = torch.cat([grid.vertical_faces.flatten(), grid.horizontal_faces.flatten()]) / 2
    scene = (
        half_open.numpy(),
        grid.free.flatten().double().numpy(),
        _regions(grid) if tau is None else np.zeros((0, 1), np.int64),
        averaging == "mid",
        0.0 if tau is None else 1.0 / tau,
    )
    flat = frames.detach().reshape(paths * count, cells).contiguous().numpy()
    potentials = np.empty((paths * steps, cells))
    by_density = np.empty((paths * steps if gradient else 0, cells))
    energies = np.empty(paths * steps)
    groups = -(-paths * steps // LANES)
    threads = max(min(torch.get_num_threads(), groups), 1)
    cuts = [groups * k // threads for k in range(threads + 1)]

    def run(k: int) -> None:
        solve_groups(
            cuts[k], cuts[k + 1], flat, steps, tables, plan.size, scene,
            potentials, by_density, energies,
        )  # fmt: skip

    others = [_pool(threads - 1, os.getpid()).submit(run, k) for k in range(1, threads)]
    run(0)
    for other in others:
        other.result()
    wrong = ~np.isfinite(energies)
    if wrong.any():
        raise ValueError(f"system {int(wrong.argmax())} is not positive definite")
    total = torch.from_numpy(energies).view(paths, steps).sum(1)
    slopes = None
    if gradient:
        slopes = torch.empty(frames.shape, dtype=torch.float64)
        combine(potentials, by_density, steps, averaging == "mid", slopes.view(-1, cells).numpy())
    return total, torch.from_numpy(potentials).view(-1, height, width), slopes
