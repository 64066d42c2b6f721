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
    """The path of least kinetic energy between two images, around the walls of the data set."""

    algorithm: str = parameter(
        "admm",
        "dr (Douglas-Rachford), admm (on the dual), pd (primal-dual)",
        "quickest here",
        choices=("dr", "admm", "pd"),
    )
    intervals: int = parameter(
        20, "time steps of the solver's grid, at least 1", "chosen here", low=1
    )
    iterations: int = parameter(
        250, "at most so many", "energy within one per cent on a maze", low=1
    )
    step: float = parameter(
        0.2,
        "of the proximal map, positive, in units of the greatest density over the typical speed "
        "(pixels an interval) squared",
        "0.03 to 3 tried on translations, 0.01 to 0.3 on a maze",
        above=0,
    )
    tolerance: float = parameter(
        5e-4, "stop when residual and change are below, relative", "chosen here", above=0
    )
    balanced: bool = parameter(
        True, "whether mass is only moved; images are then normalised to one mass", "the problem"
    )
    tau: float = parameter(
        100.0,
        "unbalanced: price of creating and removing mass, in squared pixels, positive",
        "mass moves ten pixels for the price of being made anew, roughly",
        above=0,
    )
    threshold: float = mass_threshold()
    most_images: int = most_images()

    card: ClassVar[MethodCard] = MethodCard(
        title="Dynamic optimal transport by proximal splitting",
        source="Benamou & Brenier 2000; Papadakis, Peyré & Oudet 2014; walls and unbalanced mass "
        "as in Feng & Strohmer 2024",
        equations=(
            "min int int |m|^2 / rho + tau s^2 / rho  such that  d_t rho + div m = s, both ends "
            "given, no flux through the rim and the walls",
            "dr: Papadakis et al., section 4.3; admm: Benamou & Brenier, ALG2; pd: Chambolle & "
            "Pock 2011",
        ),
        deviations=(
            "densities are averaged onto the faces of the cells, where Papadakis et al. average "
            "momenta into the cells: the energy is then the one path_energy measures, "
            "and a wall closes each of its faces",
            "the energy has no factor 1/2, as in Feng & Strohmer's discrete one",
            "each colour by itself; balanced, mass is normalised and grows linearly in time; a "
            "colour that is empty in one of the images only grows or fades",
            "frames between the solver's are linear in time; mass on walls is taken off first; "
            "where mass crowds a pixel above 1 it is clipped and the excess lost",
            "all pairs of a call stop together, when the last has converged",
        ),
        relative_cost=3.0,
        reference=True,
    )

    obstacles_: ClassVar[Tensor | None] = None
    """Walls of the data set that ``fit`` was given; True where no mass may be."""

    def skip(self, data: ImageDataset) -> str | None:
        """Refuse data sets of more than ``most_images`` test images."""
        return too_many(data, self.most_images, "proximal-splitting")

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Remember the walls of the data set; there is nothing else to learn."""
        vars(self)["obstacles_"] = data.obstacles

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Find the cheapest paths from (n, c, h, w) to (n, c, h, w), seen at times (k,).

        Runs in float64 on the device of ``x0``.

        Returns
        -------
        Tensor, shape (n, k, c, h, w)

        Raises
        ------
        ValueError
            If images are negative or not finite, or walls seal a target off.
        """
        ends = torch.stack([x.detach().flatten(0, 1).double() for x in (x0, x1)], 1)
        if not bool(((ends >= 0) & ends.isfinite()).all()):
            raise ValueError("images hold values that are negative or not finite")
        ends = torch.where(ends > self.threshold, ends, 0.0)
        if self.obstacles_ is not None:
            ends = ends * ~self.obstacles_.to(ends.device)
        mass = ends.sum((2, 3))
        time = t.to(ends)
        weights = torch.stack([1 - time, time], 1)
        frames = torch.einsum("kf,nfhw->nkhw", weights, ends)
        moving = (mass > 0).all(1)  # where one end is empty, the other only grows or fades
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
        if self.obstacles_ is not None:  # what is left there before the solver has converged
            frames = frames * ~self.obstacles_.to(frames.device)
        if not self.balanced:
            return frames
        total = frames.sum((2, 3), keepdim=True)
        return frames * ((mass @ weights.mT)[..., None, None] / total)
