"""Validation of paths of densities."""

from __future__ import annotations

import math
from typing import Any, get_args

import torch
from torch import Tensor

from otbench.ot.dynamic.grid import Boundary, Grid
from otbench.ot.dynamic.terms import Averaging

MASS_TOLERANCE = 1e-6
"""Relative difference of masses that balanced transport treats as rounding and projects out."""


def unthreaded(x: Tensor) -> Any:
    """View a tensor on the CPU as an array, because NumPy does not wake torch's threads.

    These spin for a while after each operation, which on a busy machine costs more than the sums
    and products here and delays the solver's own threads. Tensors on other devices are returned
    as they are.
    """
    return x.detach().numpy() if x.device.type == "cpu" else x.detach()


def _check_frames(frames: Tensor, grid: Grid) -> None:
    values = unthreaded(frames)
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("frames hold values that are not finite")
    if grid.obstacles is not None:
        low = float(frames[..., grid.free].min())
    if low <= 0:
        raise ValueError(
            f"frames must be positive, the least value is {low:g}: add a floor with to_density"
        )


def _mass(frames: Tensor, grid: Grid, region: Tensor) -> Tensor:
    """Sum the frames (..., h, w) over a region; all cells are free where there are no walls."""
    if grid.obstacles is None:
        return torch.as_tensor(unthreaded(frames).sum((-2, -1)))
    return frames[..., region].sum(-1)


def _check_balance(frames: Tensor, grid: Grid) -> None:
    regions = grid.closed_regions
    if not regions:
        return
    whole = _mass(frames, grid, grid.free).mean(1)
    for region in regions:
        masses = _mass(frames, grid, region)
        gaps = (masses.amax(1) - masses.amin(1)) / whole
        path = int(gaps.argmax())
        if float(gaps[path]) > MASS_TOLERANCE:
            span = f"from {float(masses[path].min()):.9g} to {float(masses[path].max()):.9g}"
            if len(regions) > 1 or grid.boundary == "open":
                raise ValueError(
                    f"obstacles seal off a region of {int(region.sum())} cells, but in path {path} "
                    f"the mass in it goes {span}, a mismatch of {float(gaps[path]):.3g} of the "
                    f"whole: open a way, or set tau for unbalanced transport"
                )
            raise ValueError(
                f"balanced transport needs frames of equal mass: in path {path} it goes {span}, "
                f"a relative mismatch of {float(gaps[path]):.3g} (at most {MASS_TOLERANCE:g} is "
                f"allowed): normalise the frames, or set tau for unbalanced transport"
            )


def checked_path(
    frames: Tensor,
    boundary: Boundary,
    averaging: Averaging,
    tau: float | None,
    obstacles: Tensor | None,
) -> tuple[Tensor, Grid]:
    """Check all input; return the frames as (batch, T + 1, h, w), float64, and the grid."""
    if averaging not in get_args(Averaging):
        raise ValueError(f"averaging must be mid or left, got {averaging!r}")
    if tau is not None and not (tau > 0 and math.isfinite(tau)):
        raise ValueError(f"tau must be positive and finite, or None for balanced, got {tau}")
    if not frames.is_floating_point():
        raise ValueError(f"frames must be floating-point, got {frames.dtype}")
    if frames.dim() not in (3, 4):
        raise ValueError(
            f"frames must be (batch, T + 1, h, w) or (T + 1, h, w), got {tuple(frames.shape)}"
        )
    batch = frames.double() if frames.dim() == 4 else frames.double().unsqueeze(0)
    if batch.numel() == 0:
        raise ValueError(f"frames are empty: shape {tuple(frames.shape)}")
    if batch.shape[1] < 2:
        raise ValueError("a path needs at least two frames (T >= 1), got one")
    height, width = batch.shape[-2:]
    grid = Grid(height, width, boundary, obstacles, batch.device)
    detached = batch.detach()
    _check_frames(detached, grid)
    if tau is None:
        _check_balance(detached, grid)
    return batch, grid
