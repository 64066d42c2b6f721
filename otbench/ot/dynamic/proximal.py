r"""Dynamic optimal transport as a convex problem, solved by proximal splitting.

Benamou and Brenier's problem on a space-time grid,

.. math:: \min \sum_t \Big( \sum_f m_f^2 / u_f + \sum_c \tau s_c^2 / r_c \Big) \quad
          \text{such that} \quad \rho_{t+1} - \rho_t + \mathrm{div}\, m_t = s_t,

with both ends given: J(V) + [U obeys the continuity equation], V = samples of U (see
`space_time_grid`). The energy is that of `path_energy`, here minimised over the frames as well:
the result is the discrete optimum with which the energies of other paths are compared.

Papadakis, Peyré & Oudet 2014 (SIAM J. Imaging Sci. 7) average momenta into the cells; here
densities are averaged onto the faces, so that a wall closes its faces one by one. With averaged
momenta, a flow along a wall that alternates from cell to cell averages to zero and costs nothing.
Sources are priced as in Feng & Strohmer 2024, equation (4).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from otbench.ot.dynamic.grid import Grid
from otbench.ot.dynamic.proximal_algorithms import ALGORITHMS, Iterate, Splitting
from otbench.ot.dynamic.space_time_grid import SpaceTimeGrid

Algorithm = Literal["dr", "admm", "pd"]
MASS_TOLERANCE = 1e-6
"""Relative difference of masses that balanced transport treats as rounding."""


class DynamicTransport(NamedTuple):
    """The cheapest paths between n pairs of densities, with diagnostics.

    Attributes
    ----------
    frames : Tensor, shape (n, T + 1, h, w)
        Densities; the first and last are the given ones.
    vertical, horizontal : Tensor, shape (n, T, h + 1, w) and (n, T, h, w + 1)
        Momenta through the faces, mass per interval, positive downwards and to the right.
    source : Tensor, shape (n, T, h, w), or None
        Mass created per interval; None when balanced.
    energy : Tensor, shape (n,)
        T J / M in squared pixels, where M is the mass averaged over the frames.
    continuity : Tensor, shape (n,)
        Norm of the residual of the continuity equation, divided by the norm of the ends.
    objective : Tensor, shape (iterations, n)
        T J / M of the samples at each iteration, where M is the mean mass of the ends. It may be
        below the optimum while samples and fields do not agree yet.
    residual : Tensor, shape (iterations, n)
        Relative distance between the samples and those of the fields.
    converged : bool
        Whether all pairs reached the tolerance.
    """

    frames: Tensor
    vertical: Tensor
    horizontal: Tensor
    source: Tensor | None
    energy: Tensor
    continuity: Tensor
    objective: Tensor
    residual: Tensor
    converged: bool


def dynamic_transport(
    x0: Tensor,
    x1: Tensor,
    *,
    intervals: int = 20,
    algorithm: Algorithm = "admm",
    iterations: int = 500,
    step: float = 0.2,
    relaxation: float = 1.7,
    tolerance: float = 1e-4,
    tau: float | None = None,
    obstacles: Tensor | None = None,
) -> DynamicTransport:
    """Find the cheapest paths between pairs of densities.

    Parameters
    ----------
    x0, x1 : Tensor, shape (n, h, w)
        Not negative, none of them empty. Mass on obstacles is left out. In balanced mode the two
        images of a pair have the same mass. Other floating types are converted to float64, on the
        same device.
    intervals : int
        Time steps T of the path, at least 1.
    algorithm : {"dr", "admm", "pd"}
    iterations : int
        Largest number of iterations.
    step : float
        Step of the proximal map, in units of the greatest density of a pair's ends over the square
        of its typical speed, so that one number suits short and long distances and coarse and fine
        time steps.
    relaxation : float
        In (0, 2).
    tolerance : float
        Stop when the residual and the relative change of the samples are below this for all pairs.
    tau : float, optional
        Price of creating and removing mass, in squared pixels; None means balanced.
    obstacles : Tensor, shape (h, w), bool, optional
        True where no mass passes.

    Raises
    ------
    ValueError
        If images are empty, negative, not finite or of different shapes, if balanced masses
        differ, if obstacles cut off the target, or if an option is out of its range.
    """
    ends, walls = _checked(x0, x1, tau, obstacles)
    check_options(intervals, algorithm, iterations, step, relaxation, tolerance, tau)
    scale = ends.amax((1, 2, 3))
    grid = SpaceTimeGrid(intervals, walls.height, walls.width, tau, ends.device)
    steps = step * intervals**2 / squared_distance(ends, walls)
    problem = Splitting(ends / scale.view(-1, 1, 1, 1), grid, walls, steps.view(-1, 1))
    unit = intervals / problem.ends.sum((2, 3)).mean(1)
    objective, residual = [], []
    before = problem.origin
    converged = False
    for state in ALGORITHMS[algorithm](problem, relaxation):
        samples = state.samples
        norm = samples.norm(dim=1)
        objective.append(unit * problem.energy(samples))
        residual.append((state.sampled - samples).norm(dim=1) / norm)
        change = (samples - before).norm(dim=1) / norm
        before = samples
        converged = bool((torch.maximum(residual[-1], change) < tolerance).all())
        if converged or len(objective) == iterations:
            break
    return _result(problem, scale, state, objective, residual, converged)


def squared_distance(ends: Tensor, walls: Grid) -> Tensor:
    """Estimate how far mass moves, from the free cell nearest to the start's centroid to the end.

    Parameters
    ----------
    ends : Tensor, shape (n, 2, h, w)
    walls : Grid

    Returns
    -------
    Tensor, shape (n,)
        Mean squared length of the shortest paths, in squared pixels, at least 1.
    """
    places = walls.free.nonzero().to(ends)
    found = []
    for start, end in ends[:, :, walls.free]:
        centroid = start @ places / start.sum()
        centre = int((places - centroid).square().sum(1).argmin())
        if walls.obstacles is None:
            lengths = (places - places[centre]).square().sum(1)
        else:
            source = places[centre : centre + 1]
            lengths = _around_walls(walls.obstacles, source, places[end > 0])
            end = end[end > 0]
        there = lengths.isfinite()
        found.append((end[there] @ lengths[there]) / end.sum())
    return torch.stack(found).clamp(min=1)


def _around_walls(obstacles: Tensor, source: Tensor, targets: Tensor) -> Tensor:
    """Square the lengths of the shortest paths from one cell; SciPy does it on the CPU."""
    from otbench.ot.discrete.geodesic_distance import geodesic_distances

    points = (x.detach().cpu().numpy() for x in (source, targets))
    lengths = geodesic_distances(obstacles.cpu().numpy(), *points)
    return torch.as_tensor(lengths[0]).to(targets).square()


def _result(
    problem: Splitting,
    scale: Tensor,
    state: Iterate,
    objective: list[Tensor],
    residual: list[Tensor],
    converged: bool,
) -> DynamicTransport:
    """Scale the fields back, and add the ends and the diagnostics."""
    grid, ends = problem.grid, problem.ends
    u = grid.fields(state.fields)
    frames = torch.cat([ends[:, :1], u.density.clamp(min=0), ends[:, 1:]], 1)
    gap = grid.residual(state.fields, ends).flatten(1).norm(dim=1) / ends.flatten(1).norm(dim=1)
    mass = frames.sum((2, 3)).mean(1)
    back = scale.view(-1, 1, 1, 1)
    return DynamicTransport(
        frames=frames * back,
        vertical=u.vertical * back,
        horizontal=u.horizontal * back,
        source=None if grid.tau is None else u.source * back * grid.tau**-0.5,
        energy=grid.intervals * problem.energy(state.samples) / mass,
        continuity=gap,
        objective=torch.stack(objective),
        residual=torch.stack(residual),
        converged=converged,
    )


def _checked(
    x0: Tensor, x1: Tensor, tau: float | None, obstacles: Tensor | None
) -> tuple[Tensor, Grid]:
    """Check the images; return them as (n, 2, h, w), float64, 0 on walls, and the walls."""
    if x0.dim() != 3 or x0.shape != x1.shape or x0.numel() == 0:
        raise ValueError(
            "images must be (n, h, w) with at least one pixel, and of one shape, got "
            f"{tuple(x0.shape)} and {tuple(x1.shape)}"
        )
    ends = torch.stack([x0, x1], 1).detach().double()
    walls = Grid(ends.shape[2], ends.shape[3], "noflux", obstacles, ends.device)
    for name, images in (("first", ends[:, 0]), ("second", ends[:, 1])):
        if not (bool(images.isfinite().all()) and bool((images >= 0).all())):
            raise ValueError(f"a {name} image holds values that are negative or not finite")
    ends = ends * walls.free
    for name, images in (("first", ends[:, 0]), ("second", ends[:, 1])):
        blank = (images.sum((1, 2)) == 0).nonzero().flatten().tolist()
        if blank:
            where = "" if obstacles is None else " outside the obstacles"
            raise ValueError(
                f"the {name} image of pair {blank[0]} is empty{where}: no mass to move"
            )
    if tau is None:
        _check_balance(ends, walls)
    return ends, walls


def _check_balance(ends: Tensor, walls: Grid) -> None:
    whole = ends.sum((2, 3)).mean(1)
    regions = walls.closed_regions
    masses = torch.stack([ends[:, :, region].sum(2) for region in regions])
    gaps = (masses[..., 0] - masses[..., 1]).abs() / whole
    pair = int(gaps.amax(0).argmax())
    region = int(gaps[:, pair].argmax())
    gap, (first, last) = float(gaps[region, pair]), masses[region, pair].tolist()
    if gap <= MASS_TOLERANCE:
        return
    if len(regions) == 1:
        raise ValueError(
            f"balanced transport needs ends of equal mass: pair {pair} has {first:.9g} and "
            f"{last:.9g}; normalise the images, or set tau for unbalanced transport"
        )
    raise ValueError(
        f"obstacles seal off a region of {int(regions[region].sum())} cells: pair {pair} starts "
        f"with mass {first:.6g} in it and ends with {last:.6g}; open a way, or set tau for "
        f"unbalanced transport"
    )


def check_options(
    intervals: int,
    algorithm: str,
    iterations: int,
    step: float,
    relaxation: float = 1.0,
    tolerance: float = 0.0,
    tau: float | None = None,
) -> None:
    """Raise ValueError for an option of `dynamic_transport` that is out of its range."""
    if algorithm not in get_args(Algorithm):
        raise ValueError(f"algorithm must be dr, admm or pd, got {algorithm!r}")
    for name, count in (("intervals", intervals), ("iterations", iterations)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    for name, size in (("step", step), ("tau", 1.0 if tau is None else tau)):
        if not (size > 0 and math.isfinite(size)):
            raise ValueError(f"{name} must be positive and finite, got {size}")
    if not 0 < relaxation < 2:
        raise ValueError(f"relaxation must be in (0, 2), got {relaxation}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance}")
