"""Energies, potentials and gradients of checked paths: compiled, or in torch on any device."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from otbench.ot.dynamic.grid import Grid
from otbench.ot.dynamic.solvers import solve_batch

Averaging = Literal["mid", "left"]


def density_between(frames: Tensor, averaging: Averaging) -> Tensor:
    """Return the density between the frames, shape (batch * T, h, w)."""
    left = frames[:, :-1]
    density = left if averaging == "left" else (left + frames[:, 1:]) / 2
    return density.flatten(0, 1)


def _centred(values: Tensor, regions: list[Tensor]) -> Tensor:
    """Subtract the mean over each region from values, shape (n, h, w)."""
    for region in regions:
        inside = values[:, region]
        values = values.clone()
        values[:, region] = inside - inside.mean(1, keepdim=True)
    return values


def torch_terms(
    frames: Tensor, grid: Grid, averaging: Averaging, tau: float | None, gradient: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Compute the same as `energy_terms` in torch, on any device."""
    density = density_between(frames, averaging)
    loose = grid.closed_regions if tau is None else []
    change = (frames[:, :-1] - frames[:, 1:]).flatten(0, 1)
    change = _centred(change if grid.obstacles is None else change * grid.free, loose)
    system = grid.mobilities(density, None if tau is None else density / tau)
    potentials = _centred(solve_batch(system, change), loose)
    energies = (potentials * change).sum((-2, -1)).view(len(frames), -1).sum(1)
    if not gradient:
        return energies, potentials, None
    y = potentials.unflatten(0, (len(frames), -1))
    # dJ/du = -(D^T y)^2 on each face, which takes half of its density from each of its cells
    by_density = grid.squared_differences(y) / -2
    if tau is not None:
        by_density -= y.square() / tau * grid.free
    slopes = torch.zeros_like(frames)
    if averaging == "left":
        slopes[:, :-1] = 2 * y + by_density
        slopes[:, 1:] -= 2 * y
    else:
        slopes[:, :-1] = 2 * y + by_density / 2
        slopes[:, 1:] += by_density / 2 - 2 * y
    return energies, potentials, slopes


@lru_cache(maxsize=1)
def _cpu_terms() -> Callable[..., tuple[Tensor, Tensor, Tensor | None]]:
    """Return the compiled kernel, or LAPACK where Numba does not work with the installation."""
    try:
        from otbench.ot.dynamic.batched import kernel_terms
    except (ImportError, OSError):
        return torch_terms
    return kernel_terms


def energy_terms(
    frames: Tensor, grid: Grid, averaging: Averaging, tau: float | None, gradient: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Solve all steps of all paths, on the device they are on.

    Parameters
    ----------
    frames : Tensor, shape (batch, T + 1, h, w), float64
        Checked frames.
    grid : Grid
    averaging : {"mid", "left"}
    tau : float or None
    gradient : bool
        Whether to compute the last result.

    Returns
    -------
    energies : Tensor, shape (batch,)
    potentials : Tensor, shape (batch * T, h, w)
        The potential y, with mean 0 over each closed region in balanced mode.
    slopes : Tensor, shape (batch, T + 1, h, w), or None
        Gradient of each energy with respect to its frames.

    Raises
    ------
    ValueError
        If a system is numerically not positive definite.
    """
    compute = _cpu_terms() if frames.device.type == "cpu" else torch_terms
    return compute(frames, grid, averaging, tau, gradient)
