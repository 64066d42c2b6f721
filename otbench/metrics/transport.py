"""Paths seen as moving mass: the kinetic energy they need, the mass they lose, their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import PATH_TASKS, Paths
from otbench.interface.metric import Degenerate, Direction, Metric, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images
from otbench.metrics.mass import FLOOR, colour_mean, masses
from otbench.metrics.pixel import squared_error

CHUNK = 32
"""Number of paths solved at once: 10 systems per path, a few megabytes each."""


@dataclass(frozen=True)
class PathEnergy(Metric):
    r"""Least energy T J / M that moves an image's mass along the frames as drawn.

    J sums over the T steps the least :math:`\int \rho |v|^2 + \tau \rho g^2` with
    :math:`\partial_t \rho + \nabla \cdot (\rho v) = \rho g` (Feng & Strohmer 2024, sections 2 and
    6), no flux through the border, the density of a step taken at its middle; see
    ``otbench.ot.dynamic.path_energy``. Over the mass M and times T it estimates a squared
    Wasserstein distance: at a large tau a translation by d pixels scores d squared and a
    cross-fade many times more. A small tau lets mass fade out and in instead of moving far: at 10,
    a cross-fade over some ten pixels is cheaper than the translation. Hence, and since a path that
    stands still costs nothing, it has no direction: read it beside the energy gap, which has one.
    For RGB each colour is a density of its own, as in the paper, and the result
    is their mean weighted by mass. Walls of the data set hold. Images keep their own size.

    Parameters
    ----------
    tau : float
        Price of making or destroying mass, against moving it; square pixels.
    floor : float
        Added to each pixel, so that mass can enter empty ones; share of the full intensity. It
        determines the cost of a cross-fade, so values with different floors are not comparable.
    """

    tau: float = parameter(10.0, "price of creating mass, in squared pixels", above=0)
    floor: float = parameter(1e-3, "density of the background", above=0)

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), square pixels"
    title: ClassVar[str] = "Transport energy of the path"

    @property
    def id(self) -> str:
        """Name with price of mass and floor."""
        return f"path_energy[tau={self.tau:g},floor={self.floor:g}]"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        from otbench.ot.dynamic.path_energy import image_energy

        check_images(frames=artefact.frames)
        with torch.no_grad():
            parts = [
                image_energy(
                    part.to(ctx.device),
                    floor=self.floor,
                    tau=self.tau,
                    obstacles=ctx.data.obstacles,
                )
                for part in artefact.frames.split(CHUNK)
            ]
        return Value.of(torch.cat(parts))


def _straight(first: Tensor, last: Tensor, times: Tensor) -> Tensor:
    """Return the line from the masses (n,) of the first images to those of the last, (n, k)."""
    time = times.to(first)
    return first[:, None] * (1 - time) + last[:, None] * time


@dataclass(frozen=True)
class MassDrift(Metric):
    """Departure of a path's mass from the straight line between the masses of the true ends.

    The absolute difference, averaged over all frames, over the mean mass of the two ends. Mass is
    the sum of all pixels and colours. Pairs of blank images are left out. No direction: an even
    grey of the right mass, and a cross-fade, do not drift at all.
    """

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), share of the mass"
    title: ClassVar[str] = "Drift of the mass along the path"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "mass_drift"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        check_images(x0=artefact.x0, x1=artefact.x1, frames=artefact.frames)
        first, last, mass = (
            ctx.batched(lambda x: x.double().sum((-3, -2, -1)), x)
            for x in (artefact.x0, artefact.x1, artefact.frames)
        )
        straight = _straight(first, last, artefact.times)
        mean = (first + last) / 2
        kept = mean > 0
        if not kept.any():
            raise Undefined("all end images are blank: there is no mass to follow")
        return Value.of((mass - straight).abs().mean(1)[kept] / mean[kept])


@dataclass(frozen=True)
class PeakRatio(Metric):
    """Greatest brightness between the ends of a path over the greatest of its two true ends.

    Each frame is first scaled to the mass that the line between the masses of the ends has at its
    time, so that a path that fades as a whole hides nothing. Above 1 mass is crowded, as where a
    solver on a grid squeezes it around a corner (15 times for proximal splitting in the maze of
    Feng & Strohmer 2024, figure 3); below 1 it is spread, as by blur and cross-fading. Hence it has
    no direction. Images end at full intensity, so a method that clips there loses mass instead:
    read it with the mass drift. A blank frame has no peak.
    """

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), 1 for a shape that keeps its peak"
    title: ClassVar[str] = "Greatest peak along the path over that of the ends"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "peak_ratio"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths whose ends are not blank; the standard error is over them."""
        x0, x1, frames = artefact.x0, artefact.x1, artefact.frames
        check_images(x0=x0, x1=x1, frames=frames)
        if frames.shape[1] < 3:
            raise Undefined("a path of two frames has none between its ends")
        frames = frames[:, 1:-1]
        first, last, mass = (masses(x).sum(-1) for x in (x0, x1, frames))
        straight = _straight(first, last, artefact.times[1:-1])
        peaks = frames.double().flatten(2).amax(2) * straight / mass.clamp(min=1e-12)
        ends = torch.maximum(x0.flatten(1).amax(1), x1.flatten(1).amax(1)).double()
        kept = ends > 0
        if not kept.any():
            raise Undefined("all end images are blank: there is no peak to compare with")
        return Value.of(peaks.amax(1)[kept] / ends[kept])


@dataclass(frozen=True)
class MassLeak(Metric):
    """Mass that leaves through the rim when the frames are joined by the cheapest flow.

    With an open rim mass may leave on one side and enter on another, with a periodic one it may
    wrap around; both are shortcuts for a path that should move mass inside the image (Feng &
    Strohmer 2024, figure 8). All frames are scaled to one mass; what passes the rim outwards
    (periodic: either way through the seam) is summed over the steps, over that mass. A
    translation leaks next to nothing, a cross-fade of discs about half of its mass, and a path that
    stands still nothing, so that it has no direction.

    Parameters
    ----------
    boundary : {"open", "periodic"}
    floor : float
        Added to each pixel, so that mass can reach the rim; share of the full intensity.
    """

    boundary: Literal["open", "periodic"] = "open"
    floor: float = parameter(FLOOR, "density of the background", above=0)

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), share of the mass"
    title: ClassVar[str] = "Mass that the cheapest flow moves through the rim"

    @property
    def id(self) -> str:
        """Name with boundary and floor."""
        return f"mass_leak[{self.boundary},floor={self.floor:g}]"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        check_images(frames=artefact.frames)
        leaks = [self._leak(part, ctx) for part in artefact.frames.split(CHUNK)]
        weight = masses(artefact.frames).mean(1)
        if not (weight.sum(-1) > 0).all():
            raise Undefined("a path is blank: there is no mass to leak")
        return Value.of(colour_mean(torch.cat(leaks), weight.cpu()))

    def _leak(self, frames: Tensor, ctx: ScoreContext) -> Tensor:
        """Return the share that leaks from each path and colour, (n, c), on the CPU."""
        from otbench.ot.dynamic.path_energy import path_flow, to_density

        walls = ctx.data.obstacles
        density = to_density(frames.clamp(min=0).transpose(1, 2), self.floor).to(ctx.device)
        inside = density if walls is None else density.masked_fill(walls.to(ctx.device), 0)
        density = (density / masses(inside)[..., None, None]).flatten(0, 1)
        flow = path_flow(density, boundary=self.boundary, obstacles=walls)
        vertical, horizontal = flow.vertical, flow.horizontal
        if self.boundary == "open":
            rims = [-vertical[:, :, 0], vertical[:, :, -1]]
            rims += [-horizontal[..., 0], horizontal[..., -1]]
            passed = sum(rim.clamp(min=0).sum((1, 2)) for rim in rims)
        else:  # both rims are one seam, which holds the same number twice
            passed = sum(seam.abs().sum((1, 2)) for seam in (vertical[:, :, 0], horizontal[..., 0]))
        return torch.as_tensor(passed).view(len(frames), -1).cpu()


@dataclass(frozen=True)
class EndpointError(Metric):
    """Mean squared error between the first and last frame and the true end images.

    0 for a path that starts and ends at the data, as the references do; for an autoencoder it is
    the reconstruction error of the ends. It does not see what lies between them.
    """

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    blind_to: ClassVar[tuple[Degenerate, ...]] = ("cross-faded", "teleporting")
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, 1], squared intensity"
    title: ClassVar[str] = "Squared error at the ends of the path"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "endpoint_error"

    def compute(self, artefact: Paths, ctx: ScoreContext) -> Value:
        """Average over both ends and over paths; the standard error is over paths."""
        frames = artefact.frames
        check_images(x0=artefact.x0, x1=artefact.x1, frames=frames)
        first = ctx.batched(squared_error, artefact.x0, frames[:, 0])
        last = ctx.batched(squared_error, artefact.x1, frames[:, -1])
        return Value.of((first + last) / 2)
