"""Benamou and Brenier's dynamic optimal transport between two images, by proximal splitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import FitContext, ImageDataset, MethodCard, parameter
from otbench.ot.dynamic.proximal import dynamic_transport
from otbench_methods.interpolators.base import (
    UnlearnedInterpolator,
    mass_threshold,
    most_images,
    too_many,
)


@dataclass
class ProximalSplitting(UnlearnedInterpolator):
    """The path of least kinetic energy between two images, around the data set's walls."""

    algorithm: str = parameter(
        "admm",
        "solver: dr (Douglas-Rachford), admm (on the dual) or pd (primal-dual)",
        "fastest of the three here",
        choices=("dr", "admm", "pd"),
    )
    intervals: int = parameter(20, "time steps of the solver's grid, >= 1", "chosen here", low=1)
    iterations: int = parameter(
        250,
        "largest number of iterations, >= 1",
        "energy within 1 % of the optimum on a maze",
        low=1,
    )
    step: float = parameter(
        0.2,
        "step size of the proximal map, > 0, in units of the largest density divided by the "
        "square of the typical speed (pixels per interval)",
        "tried: 0.03 to 3 on translations, 0.01 to 0.3 on a maze",
        above=0,
    )
    tolerance: float = parameter(
        5e-4,
        "stop when the relative residual and the relative change are below this, > 0",
        "chosen here",
        above=0,
    )
    balanced: bool = parameter(
        True,
        "move mass without creating or removing any; images are normalised to the same mass",
        "the problem",
    )
    tau: float = parameter(
        100.0,
        "cost of creating or removing mass, in squared pixels, > 0; unused if balanced",
        "moving mass by about ten pixels costs as much as removing and creating it",
        above=0,
    )
    threshold: float = mass_threshold()
    most_images: int = most_images()

    card: ClassVar[MethodCard] = MethodCard(
        title="Dynamic optimal transport by proximal splitting",
        source="Benamou & Brenier 2000; Papadakis, Peyré & Oudet 2014; walls and unbalanced mass "
        "as in Feng & Strohmer 2024",
        equations=(
            "min int int |m|^2 / rho + tau s^2 / rho subject to d_t rho + div m = s, with both "
            "ends given and no flux through the boundary and the walls",
            "dr: Papadakis et al., section 4.3; admm: Benamou & Brenier, ALG2; pd: Chambolle & "
            "Pock 2011",
        ),
        deviations=(
            "densities are averaged onto the faces of the cells, while Papadakis et al. average "
            "momenta into the cells; the energy is therefore the one that path_energy measures, "
            "and a wall closes each of its faces",
            "the energy has no factor 1/2, as in the discrete energy of Feng & Strohmer",
            "channels are interpolated separately; if balanced, mass is normalised and linear in "
            "time; a channel that is empty in one of the images only grows or fades",
            "frames between the solver's are interpolated linearly; mass on walls is removed "
            "first; pixels above 1 are clipped and the excess mass is lost",
            "all pairs of a call stop together, when the last one has converged",
        ),
        relative_cost=3.0,
        reference=True,
    )

    obstacles_: ClassVar[Tensor | None] = None
    """Walls of the data set passed to ``fit``; True where mass is not allowed."""

    def skip(self, data: ImageDataset) -> str | None:
        """Return a reason if the data set has more than ``most_images`` test images."""
        return too_many(data, self.most_images, "proximal-splitting")

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Store the walls of the data set; this method has nothing else to learn."""
        vars(self)["obstacles_"] = data.obstacles

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Find the paths of least energy from x0 to x1, (n, c, h, w), and return times (k,).

        The computation runs in float64 on the device of ``x0``.

        Returns
        -------
        Tensor, shape (n, k, c, h, w)

        Raises
        ------
        ValueError
            If values are negative or not finite, or if walls make a target unreachable.
        """
        ends = torch.stack([x.detach().flatten(0, 1).double() for x in (x0, x1)], 1)
        if not bool(((ends >= 0) & ends.isfinite()).all()):
            raise ValueError("images contain values that are negative or not finite")
        ends = torch.where(ends > self.threshold, ends, 0.0)
        if self.obstacles_ is not None:
            ends = ends * ~self.obstacles_.to(ends.device)
        mass = ends.sum((2, 3))
        time = t.to(ends)
        weights = torch.stack([1 - time, time], 1)
        frames = torch.einsum("kf,nfhw->nkhw", weights, ends)
        moving = (mass > 0).all(1)  # if one end is empty, the other only grows or fades
        if moving.any():
            frames[moving] = self._moved(ends[moving], mass[moving], weights)
        return frames.unflatten(0, x0.shape[:2]).transpose(1, 2).clamp(0, 1).to(x0)

    def _moved(self, ends: Tensor, mass: Tensor, weights: Tensor) -> Tensor:
        """Return frames (n, k, h, w) between ends (n, 2, h, w) at time weights (k, 2)."""
        scale = mass if self.balanced else torch.ones_like(mass)
        start, end = (ends / scale[..., None, None]).unbind(1)
        path = dynamic_transport(
            start,
            end,
            intervals=self.intervals,
            algorithm=self.algorithm,
            iterations=self.iterations,
            step=self.step,
            tolerance=self.tolerance,
            tau=None if self.balanced else self.tau,
            obstacles=self.obstacles_,
        )
        place = weights[:, 1].clamp(0, 1) * self.intervals
        before = place.floor().long().clamp(max=self.intervals - 1)
        part = (place - before).view(1, -1, 1, 1)
        frames = torch.lerp(path.frames[:, before], path.frames[:, before + 1], part)
        if self.obstacles_ is not None:  # mass remains there until the solver has converged
            frames = frames * ~self.obstacles_.to(frames.device)
        if not self.balanced:
            return frames
        total = frames.sum((2, 3), keepdim=True)
        return frames * ((mass @ weights.mT)[..., None, None] / total)
