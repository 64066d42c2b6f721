"""Paths as moving mass: their kinetic energy, the mass they lose, their ends."""

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

    J is the sum over the T steps of the least :math:`\int \rho |v|^2 + \tau \rho g^2` with
    :math:`\partial_t \rho + \nabla \cdot (\rho v) = \rho g` (Feng & Strohmer 2024, sections 2 and
    6), with no flux through the border and the density of a step averaged over its two frames; see
    ``otbench.ot.dynamic.path_energy``. Divided by the mass M and multiplied by T, it estimates a
    squared Wasserstein distance: at a large tau, a translation by d pixels scores d squared and a
    cross-fade many times more. A small tau lets mass fade out and in instead of moving far: at 10,
    a cross-fade over about ten pixels is cheaper than the translation. For this reason, and because
    a path that stands still costs nothing, it has no direction; use it together with the energy
    gap, which has one. Each channel of an RGB image is a separate density, as in the paper, and the
    result is their mean weighted by mass. Walls of the data set are respected. Images keep their
    own size.

    Parameters
    ----------
    tau : float
        Cost of creating or removing mass relative to moving it, in squared pixels.
    floor : float
        Added to each pixel, as a fraction of the full intensity, so that mass can enter empty
        pixels. It determines the cost of a cross-fade, so values with different floors are not
        comparable.
    """

    tau: float = parameter(10.0, "cost of creating mass, in squared pixels", above=0)
    floor: float = parameter(1e-3, "density of the background", above=0)

    tasks: ClassVar[tuple[str, ...]] = PATH_TASKS
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[0, inf), square pixels"
    title: ClassVar[str] = "Transport energy of the path"

    @property
    def id(self) -> str:
        """Name with tau and floor."""
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
    """Deviation of a path's mass from the straight line between the masses of the true ends.

    The absolute difference is averaged over all frames and divided by the mean mass of the two
    ends. Mass is the sum over all pixels and channels. Pairs of blank images are excluded. It has
    no direction, because a uniform grey of the right mass and a cross-fade do not drift at all.
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
            raise Undefined("all end images are blank: they have no mass")
        return Value.of((mass - straight).abs().mean(1)[kept] / mean[kept])


@dataclass(frozen=True)
class PeakRatio(Metric):
    """Peak brightness between the ends of a path over the peak of its two true ends.

    Each frame is first scaled to the mass interpolated linearly between the ends, so a path that
    fades as a whole is not favoured. Above 1 mass is concentrated, for instance where a solver on a
    grid squeezes it around a corner (15 times for proximal splitting in the maze of Feng & Strohmer
    2024, figure 3); below 1 it is spread, as by blur and cross-fading. Hence the metric has no
    direction. A method that clips at full intensity loses mass instead, so use it together with the
    mass drift. The peak of a blank frame is 0.
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
    """Mass that leaves through the border when the cheapest flow joins the frames.

    With an open boundary, mass may leave on one side and enter on another; with a periodic one, it
    may wrap around. Both are shortcuts for a path that should move mass inside the image (Feng &
    Strohmer 2024, figure 8). All frames are scaled to the same mass. The mass that crosses the
    border outwards (periodic: in either direction) is summed over the steps and divided by that
    mass. A translation leaks almost nothing, a cross-fade of discs leaks about half of its mass,
    and a path that stands still leaks nothing, so the metric has no direction.

    Parameters
    ----------
    boundary : {"open", "periodic"}
    floor : float
        Added to each pixel, as a fraction of the full intensity, so that mass can reach the border.
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
        """Return the fraction that leaks from each path and channel, (n, c), on the CPU."""
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
        else:  # the two opposite borders coincide and have the same values
            passed = sum(seam.abs().sum((1, 2)) for seam in (vertical[:, :, 0], horizontal[..., 0]))
        return torch.as_tensor(passed).view(len(frames), -1).cpu()


@dataclass(frozen=True)
class EndpointError(Metric):
    """Mean squared error between the first and last frame and the true end images.

    It is 0 for a path that starts and ends at the data, as for the references. For an autoencoder
    it is the reconstruction error of the ends. It is blind to the frames between them.
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
