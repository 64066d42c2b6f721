r"""The kinetic energy of a path of densities, by an exact solve, with its exact gradient.

Between frames :math:`\rho_t` and :math:`\rho_{t+1}` the cheapest flow costs

.. math:: J_t = \min_{m, s} \sum_f m_f^2 / u_f + \sum_c \tau s_c^2 / r_c
          \quad \text{such that} \quad D m - s = \rho_t - \rho_{t+1},

with momenta m on the faces, sources s in the cells (balanced: none), mobilities u = r averaged
over the two cells of a face, and r the density between the frames. Its solution is
:math:`m = u D^T y`, :math:`s = -(r / \tau) y` with :math:`(D U D^T + \mathrm{diag}(r / \tau)) y
= \rho_t - \rho_{t+1}`, so :math:`J_t = (\rho_t - \rho_{t+1})^T y`. Feng & Strohmer 2024, equations
(3), (4) and section 3. Their Theorem 1 (the gradient) is wrong as printed; the gradient used here
is checked by finite differences.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from otbench.ot.dynamic.grid import Boundary, Grid
from otbench.ot.dynamic.terms import Averaging, density_between, energy_terms
from otbench.ot.dynamic.validation import checked_path, unthreaded

__all__ = ["Flow", "image_energy", "path_energy", "path_flow", "to_density"]


class Flow(NamedTuple):
    """The cheapest flow along a path of T + 1 frames.

    Attributes
    ----------
    vertical : Tensor, shape (batch, T, h + 1, w)
        Momentum through the faces above and below the cells, mass per step, positive downwards.
    horizontal : Tensor, shape (batch, T, h, w + 1)
        Momentum through the faces to the left and right, positive to the right.
    source : Tensor, shape (batch, T, h, w), or None
        Mass created in each cell in a step; None when balanced.
    """

    vertical: Tensor
    horizontal: Tensor
    source: Tensor | None


def to_density(images: Tensor, floor: float = 1e-3) -> Tensor:
    """Turn images into float64 densities; a floor is added so that every pixel has a gradient.

    Parameters
    ----------
    images : Tensor
        Not negative.
    floor : float
        Density of the background, positive. The release of Feng & Strohmer clips at the floor
        instead, so that darker pixels have no gradient.
    """
    if not floor > 0:
        raise ValueError(f"floor must be positive, got {floor}")
    return images.double() + floor


class _PathEnergy(torch.autograd.Function):
    """Compute energies (batch,) of frames (batch, T + 1, h, w), with their gradients."""

    @staticmethod
    def forward(
        ctx: Any, frames: Tensor, grid: Grid, averaging: Averaging, tau: float | None
    ) -> Tensor:
        energies, _, slopes = energy_terms(
            frames, grid, averaging, tau, gradient=ctx.needs_input_grad[0]
        )
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return energies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (slopes,) = ctx.saved_tensors
        gradient = unthreaded(slopes) * unthreaded(upstream[0].view(-1, 1, 1, 1))
        return torch.as_tensor(gradient), None, None, None


def path_energy(
    frames: Tensor,
    *,
    boundary: Boundary = "noflux",
    averaging: Averaging = "mid",
    tau: float | None = None,
    obstacles: Tensor | None = None,
    normalize: bool = False,
) -> Tensor:
    r"""Sum the kinetic energy :math:`J = \sum_t J_t` of each path; see the head of this module.

    Unit cells and unit time steps: carrying a mass M over a distance of d pixels in T steps costs
    :math:`M d^2 / T`.

    Parameters
    ----------
    frames : Tensor, shape (batch, T + 1, h, w) or (T + 1, h, w)
        Positive densities, at least two per path; other floating types are converted to float64.
        In balanced mode all frames of a path must have the same mass (unless the rim is open), up
        to a relative 1e-6 (`otbench.ot.dynamic.validation.MASS_TOLERANCE`).
    boundary : {"noflux", "open", "periodic"}
        See `Grid`. Singular systems are pinned, not damped as in the release.
    averaging : {"mid", "left"}
        The density r between two frames: their mean (the release's default), or the first (the
        paper's formula), which limits the speed to about one pixel per step.
    tau : float, optional
        Price of creating and removing mass, in squared pixels. A greater price is closer to
        balanced transport; None means balanced. The mobility of the sources is r / tau, averaged
        as on the faces (the release always takes the first frame).
    obstacles : Tensor, shape (h, w), bool, optional
        True where no mass passes; the frames' values there are ignored, but must be finite.
    normalize : bool
        Return T J / M in squared pixels instead, where M is the mass of a frame (free cells only)
        averaged over the T + 1 frames; M is differentiated, too. For a slow path this tends to the
        squared 2-Wasserstein distance of its ends.

    Returns
    -------
    Tensor, shape (batch,) or ()
        Energies, float64, not negative, differentiable once with respect to every frame. In
        balanced mode the gradient is that of the energy after projecting out mass differences.

    Raises
    ------
    ValueError
        If frames are negative, zero, empty, not finite or of the wrong shape, if balanced masses
        differ (the message says by how much), if obstacles cut off mass, or if an option is
        unknown.
    """
    batch, grid = checked_path(frames, boundary, averaging, tau, obstacles)
    energy: Tensor = _PathEnergy.apply(batch, grid, averaging, tau)
    if normalize:
        inside = batch if obstacles is None else batch * grid.free
        energy = energy * (batch.shape[1] - 1) / inside.sum((-2, -1)).mean(1)
    return energy if frames.dim() == 4 else energy[0]


def path_flow(
    frames: Tensor,
    *,
    boundary: Boundary = "noflux",
    averaging: Averaging = "mid",
    tau: float | None = None,
    obstacles: Tensor | None = None,
) -> Flow:
    """Return the cheapest momenta and sources along each path.

    Takes the same arguments as `path_energy` and raises the same errors. A path without a batch
    dimension gives fields without one. Gradients are not recorded.
    """
    batch, grid = checked_path(frames.detach(), boundary, averaging, tau, obstacles)
    _, potentials, _ = energy_terms(batch, grid, averaging, tau, gradient=False)
    density = density_between(batch, averaging)
    fields = [
        mobility * difference
        for mobility, difference in zip(
            grid.face_density(density), grid.face_differences(potentials), strict=True
        )
    ]
    if tau is not None:
        fields.append(-(density / tau) * potentials * grid.free)
    shaped = [f.unflatten(0, (len(batch), -1)) for f in fields]
    if frames.dim() == 3:
        shaped = [f[0] for f in shaped]
    return Flow(shaped[0], shaped[1], shaped[2] if tau is not None else None)


def image_energy(
    paths: Tensor,
    *,
    floor: float = 1e-3,
    tau: float | None = None,
    boundary: Boundary = "noflux",
    averaging: Averaging = "mid",
    obstacles: Tensor | None = None,
) -> Tensor:
    r"""Normalised energy T J / M of paths of images, in squared pixels.

    Colours are separate densities (as in the release of Feng & Strohmer): J and M are summed over
    them. In balanced mode every frame and colour is first scaled to mass 1 (times M of the path, so
    that strong colours count more).

    Parameters
    ----------
    paths : Tensor, shape (n, T + 1, c, h, w)
        Images, not negative.
    floor : float
        See `to_density`.
    tau, boundary, averaging, obstacles
        See `path_energy`.

    Returns
    -------
    Tensor, shape (n,), float64
    """
    density = to_density(paths.transpose(1, 2), floor)  # (n, c, T + 1, h, w)
    inside = density if obstacles is None else density * ~obstacles.to(density.device)
    masses = inside.sum((-2, -1))
    mean = masses.mean(2)
    if tau is None:
        density = density * (mean.unsqueeze(2) / masses)[..., None, None]
    energy = path_energy(
        density.flatten(0, 1),
        boundary=boundary,
        averaging=averaging,
        tau=tau,
        obstacles=obstacles,
    ).view(mean.shape)
    return (paths.shape[1] - 1) * energy.sum(1) / mean.sum(1)
