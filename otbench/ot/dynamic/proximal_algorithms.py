"""Proximal map of the kinetic energy, and three ways to alternate it with the continuity equation.

Each algorithm yields its states endlessly; `otbench.ot.dynamic.proximal` decides when to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from otbench.ot.dynamic.grid import Grid
from otbench.ot.dynamic.space_time_grid import SpaceTimeGrid

NEWTON_STEPS = 6
"""Newton steps from the starting point below, enough for full float64 precision."""


def kinetic_prox(momentum: Tensor, density: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    r"""Apply the proximal map of :math:`\gamma m^2 / \rho`, elementwise.

    With :math:`x = \rho + 2 \gamma`, the density solves :math:`x^2 (x - \tilde\rho - 2 \gamma) =
    \gamma \tilde m^2`, and the momentum is :math:`\tilde m \rho / x`; where the greatest root is
    below :math:`2 \gamma` both are 0. Newton's method starts above the root, where the cubic is
    convex, and therefore never overshoots.

    Parameters
    ----------
    momentum, density : Tensor, one shape
        The point :math:`(\tilde m, \tilde\rho)`.
    step : Tensor
        The positive :math:`\gamma`; broadcasts to the shape of the point.

    Returns
    -------
    momentum, density : Tensor

    References
    ----------
    Papadakis, Peyré & Oudet 2014, proposition 1 (there with half the energy).
    """
    active = momentum.square().addcmul_(density, step, value=4) > 0  # the root is above 2 step
    m, step = momentum[active], step.expand_as(momentum)[active]
    right = m.square().mul_(step)
    shifted = density[active].add_(step, alpha=2)
    tiny = torch.finfo(right.dtype).tiny
    # All are upper bounds of the root; the second needs `shifted` > 0, the third `shifted` < 0.
    ratio = right / shifted.square().clamp_(min=tiny)
    x = torch.minimum(right.pow(1 / 3) + shifted.clamp(min=0), shifted + ratio)
    steep = (right / shifted.neg().clamp_(min=tiny)).sqrt_()
    x = torch.where(shifted < 0, torch.minimum(right.pow(1 / 3), steep), x)
    for _ in range(NEWTON_STEPS):
        gap = x - shifted
        slope = gap.mul(2).add_(x).mul_(x).clamp_(min=tiny)
        x.sub_(gap.mul_(x).mul_(x).sub_(right).div_(slope))
    result = x.sub(step, alpha=2).clamp_(min=0)
    moved, carried = torch.zeros_like(momentum), torch.zeros_like(density)
    carried[active] = result
    moved[active] = m.mul_(result).div_(x)
    return moved, carried


class Splitting:
    """The two halves of the problem on one grid, for the algorithms to alternate between.

    Parameters
    ----------
    ends : Tensor, shape (n, 2, h, w)
        First and last frames, with values of order 1.
    grid : SpaceTimeGrid
    walls : Grid
        The grid, with its free cells and open faces.
    step : Tensor, shape (n, 1)
        Step of the proximal map for each pair.
    """

    def __init__(self, ends: Tensor, grid: SpaceTimeGrid, walls: Grid, step: Tensor) -> None:
        self.ends, self.grid, self.step = ends, grid, step
        self.zero = grid.empty_fields(len(ends))
        self.origin = grid.sample(self.zero, ends)
        passable = torch.zeros_like(self.origin[:1])
        v = grid.samples(passable)
        v.vertical[:] = walls.vertical_faces
        v.horizontal[:] = walls.horizontal_faces
        v.source[:] = walls.free
        v.density[:] = walls.free
        self.passable = passable

    def start(self) -> Tensor:
        """Return the fields of the linear path without motion."""
        fields = self.zero.clone()
        steps = self.grid.intervals
        time = torch.arange(1, steps).to(fields).view(-1, 1, 1) / steps
        first, last = self.ends[:, :1], self.ends[:, 1:]
        self.grid.fields(fields).density.copy_(torch.lerp(first, last, time))
        return fields

    def prox(self, samples: Tensor) -> Tensor:
        """Apply the proximal map of the energy to flat samples, in place."""
        size = self.grid.moving
        moving, carriers, rest = samples.tensor_split([size, 2 * size], 1)
        moving *= self.passable[:, :size]
        m, u = kinetic_prox(moving, carriers, self.step)
        moving.copy_(m)
        carriers.copy_(u)
        rest.clamp_(min=0).mul_(self.passable[:, 2 * size :])
        return samples

    def energy(self, samples: Tensor) -> Tensor:
        """Return the energy of samples that the proximal map returned, shape (n,)."""
        size = self.grid.moving
        moving, carriers = samples[:, :size], samples[:, size : 2 * size]
        tiny = torch.finfo(samples.dtype).tiny
        return moving.square().div_(carriers.clamp(min=tiny)).sum(1)


class Iterate(NamedTuple):
    """State of an algorithm: two estimates that converge to each other.

    Attributes
    ----------
    fields : Tensor
        Fields that obey the continuity equation.
    sampled : Tensor
        Their samples.
    samples : Tensor
        Samples of finite energy.
    """

    fields: Tensor
    sampled: Tensor
    samples: Tensor


def douglas_rachford(problem: Splitting, relaxation: float) -> Iterator[Iterate]:
    """Alternate on fields and samples together (Papadakis et al. 2014, section 4.3)."""
    grid, ends, origin = problem.grid, problem.ends, problem.origin
    fields = problem.start()
    samples = grid.sample(fields, ends)
    while True:
        agreed = grid.agree(fields, samples, origin)
        agreed_samples = grid.sample(agreed, ends)
        u = grid.project(torch.add(-fields, agreed, alpha=2), ends)
        v = problem.prox(torch.add(-samples, agreed_samples, alpha=2))
        yield Iterate(u, grid.sample(u, ends), v)
        fields.add_(u, alpha=relaxation).sub_(agreed, alpha=relaxation)
        samples.add_(v, alpha=relaxation).sub_(agreed_samples, alpha=relaxation)


def dual_admm(problem: Splitting, relaxation: float) -> Iterator[Iterate]:
    """Alternating directions on the dual (Benamou & Brenier 2000), in terms of the multiplier.

    The potential's step is a Poisson solve: the projection of samples on the continuity equation.
    The step of the dual momenta, a projection on the parabola, is the proximal map by Moreau's
    identity.
    """
    grid, ends, origin = problem.grid, problem.ends, problem.origin
    samples = grid.sample(problem.start(), ends)
    dual = torch.zeros_like(samples)
    while True:
        fields = grid.project_samples(samples - dual, ends, origin)
        sampled = grid.sample(fields, ends)
        dual.add_(samples, alpha=1 - relaxation).add_(sampled, alpha=relaxation)
        samples = problem.prox(dual.clone())
        yield Iterate(fields, sampled, samples)
        dual -= samples


def primal_dual(problem: Splitting, relaxation: float) -> Iterator[Iterate]:
    """Chambolle & Pock's algorithm (2011), preconditioned: densities have many samples."""
    grid, ends = problem.grid, problem.ends
    weight = float(grid.sampled_density.max()) if grid.intervals > 1 else 1.0
    count = grid.fields(problem.zero).density[:1].numel()
    fields = problem.start()
    before = grid.sample(fields, ends)
    dual = torch.zeros_like(before)
    while True:
        move = grid.sample_adjoint(dual)
        move[:, :count] /= weight
        new = grid.project(fields - move, ends, weight)
        sampled = grid.sample(new, ends)
        target = (dual - before).add_(sampled, alpha=2)  # the samples of 2 new - fields
        samples = problem.prox(target.clone())
        yield Iterate(new, sampled, samples)
        fields.lerp_(new, relaxation)
        before.lerp_(sampled, relaxation)
        dual.lerp_(target.sub_(samples), relaxation)


ALGORITHMS: dict[str, Callable[[Splitting, float], Iterator[Iterate]]] = {
    "dr": douglas_rachford,
    "admm": dual_admm,
    "pd": primal_dual,
}
