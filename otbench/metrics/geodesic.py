"""How far a path is from the exact 2-Wasserstein geodesic between its two images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from otbench.interface.artefacts import KnownPaths, Paths, between_true_ends
from otbench.interface.metric import Degenerate, Direction, Metric, Undefined, Value
from otbench.interface.parameters import parameter
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images
from otbench.metrics.mass import (
    FLOOR,
    THRESHOLD,
    area_agreement,
    centroid_distances,
    centroids,
    colour_mean,
    effective_area,
    energy_over,
    masses,
    plane_cost,
    squared_w2,
)

TASKS = ("geodesic", "limited-data")

CONTRAST = 0.01
"""Largest difference between the brightest and the darkest pixel, as a fraction of the brightest,
at which an image counts as uniform grey."""


def interior(artefact: KnownPaths) -> tuple[Tensor, Tensor]:
    """Return the drawn and the exact frames strictly between the ends, (n, k - 2, c, h, w).

    Raises
    ------
    Undefined
        If a path has no frames between its ends.
    ValueError
        If a frame lies outside [0, 1].
    """
    check_images(frames=artefact.frames)
    if len(artefact.times) < 3:
        raise Undefined("a path of two frames has none between its ends")
    return artefact.frames[:, 1:-1], artefact.exact[:, 1:-1]


@dataclass(frozen=True)
class GeodesicW2(Metric):
    """Wasserstein distance between drawn frames and the exact geodesic at the same times.

    The value is the mean or maximum along a path of the square root of
    `otbench.metrics.mass.squared_w2`, at all times strictly between the ends. Masses are
    normalised, so this metric is blind to mass that a whole frame gains or loses; the mass drift
    measures that. A blank frame has the largest distance that any image can have. The exact frames
    are also on the pixel grid: a translation by whole pixels scores 0, and one by a fraction of a
    pixel scores a few tenths.

    Parameters
    ----------
    statistic : {"mean", "max"}
        Statistic over the times of a path; it is then averaged over paths.
    """

    statistic: Literal["mean", "max"] = "mean"

    tasks: ClassVar[tuple[str, ...]] = TASKS
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), pixels"
    title: ClassVar[str] = "Wasserstein distance to the exact geodesic"

    @property
    def id(self) -> str:
        """Name with statistic and threshold of the plans."""
        return f"geodesic_w2[{self.statistic},threshold={THRESHOLD:g}]"

    def compute(self, artefact: KnownPaths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        drawn, exact = interior(artefact)

        def distances() -> Tensor:
            return torch.tensor(
                [
                    [squared_w2(*images) ** 0.5 for images in zip(*path, strict=True)]
                    for path in zip(drawn.cpu(), exact.cpu(), strict=True)
                ]
            )

        along = ctx.once("geodesic-w2", distances, of=artefact)
        return Value.of(along.mean(1) if self.statistic == "mean" else along.amax(1))


@dataclass(frozen=True)
class PairEnergy(Metric):
    """Energy of a path divided by the least cost of its pair.

    With ``ends="drawn"`` the frames are those drawn by the method. A path that never reaches its
    ends, at worst one that stands still, then scores below 1, so the value has no direction; use it
    together with the endpoint error. With ``ends="data"`` the true images replace the first and
    last frame. The jumps then count, so a path gains nothing by staying away from its ends, and
    lower is better. Each path needs an exact plan, so only the first `MOST` paths are scored.

    Parameters
    ----------
    floor : float
        Added to each pixel, as a fraction of the full intensity.
    ends : {"drawn", "data"}
    """

    floor: float = parameter(FLOOR, "density of the background", above=0)
    ends: Literal["drawn", "data"] = "drawn"

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``neutral`` for the path as drawn, ``lower`` if the true images are its ends."""
        return "lower" if self.ends == "data" else "neutral"

    def protocol(self, name: str) -> str:
        """Return a name with ends and floor in brackets."""
        return f"{name}[{self.ends},floor={self.floor:g}]"

    def over(
        self,
        cost: Callable[[Tensor, Tensor], float],
        artefact: Paths,
        obstacles: Tensor | None = None,
    ) -> Value:
        """Divide by a cost and average over pairs; see `otbench.metrics.mass.energy_over`."""
        x0, x1, frames = artefact.x0, artefact.x1, artefact.frames
        check_images(x0=x0, x1=x1, frames=frames)
        if self.ends == "data":
            frames = between_true_ends(x0, x1, frames)
        return energy_over(cost, x0[:MOST], x1[:MOST], frames[:MOST], self.floor, obstacles)


MOST = 32
"""Largest number of paths whose energy is compared with the exact cost, at 0.1 s each."""


@dataclass(frozen=True)
class EnergyGap(PairEnergy):
    r"""Energy T J / M of a path divided by its pair's squared Wasserstein distance; 1 is optimal.

    J is the least balanced kinetic energy of the frames, which are scaled to the same mass. There
    is no flux through the border, and the density of a step is the mean of its two frames; see
    `otbench.metrics.mass.own_energy`. Up to effects of the grid and the floor, no path that starts
    and ends at the pair scores below 1; on discs and Gaussians the exact geodesic scores 1.02 to
    1.06. The floor determines the score of a cross-fade, which for separate discs is about 0.05
    divided by the floor (5000 at 1e-5, 50 at 1e-3, 6 at 1e-2); the floor is therefore part of the
    id. The default is a quarter of an 8-bit gray level: half a percent of stray mass in every other
    frame of a geodesic then adds 0.15 (at 1e-5: 16), and a haze of 0.002 adds 0.2 if the ends have
    none. For the ends see `PairEnergy`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("interpolation", *TASKS)
    range: ClassVar[str] = "[0, inf), 1 for the geodesic"
    title: ClassVar[str] = "Energy of the path over that of the geodesic"

    @property
    def id(self) -> str:
        """Name with ends and floor."""
        return self.protocol("energy_gap")

    def compute(self, artefact: KnownPaths, ctx: ScoreContext) -> Value:
        """Average over paths whose two images differ; the standard error is over them."""
        return self.over(plane_cost, artefact)


@dataclass(frozen=True)
class CentroidError(Metric):
    """Distance of a frame's centre of mass from the geodesic's, which moves in a straight line.

    The distance is averaged over the times strictly between the ends; channels are weighted by
    their mass in the exact frame. The centre of a blank frame counts as the farthest corner. The
    centre of a cross-fade moves along the same straight line as that of the geodesic.
    """

    tasks: ClassVar[tuple[str, ...]] = TASKS
    blind_to: ClassVar[tuple[Degenerate, ...]] = ("blurred", "cross-faded")
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), pixels"
    title: ClassVar[str] = "Distance of the centroid from the geodesic's"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "centroid_error"

    def compute(self, artefact: KnownPaths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        drawn, exact = _present(artefact)
        errors = centroid_distances(drawn, centroids(exact))
        return Value.of(colour_mean(errors, masses(exact)).mean(1))


@dataclass(frozen=True)
class Compactness(Metric):
    """Compactness of a frame relative to that of the exact geodesic; 1 is as compact.

    The value is the ratio of their effective areas (`otbench.metrics.mass.effective_area`) or its
    inverse, whichever is smaller, averaged over the times strictly between the ends. Blur and
    cross-fading lower it. Channels are weighted by their mass in the exact frame; a blank frame
    scores 0. A path that stands still or jumps between its ends is as compact as they are.
    """

    tasks: ClassVar[tuple[str, ...]] = TASKS
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[0, 1]"
    blind_to: ClassVar[tuple[Degenerate, ...]] = ("frozen", "teleporting")
    title: ClassVar[str] = "Compactness of the frames, against the geodesic's"

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "compactness[area]"

    def compute(self, artefact: KnownPaths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        drawn, exact = _present(artefact)
        compact = area_agreement(drawn, effective_area(exact))
        return Value.of(colour_mean(compact, masses(exact)).mean(1))


def _present(artefact: KnownPaths) -> tuple[Tensor, Tensor]:
    """Return drawn and exact frames between the ends, without channels blank in the latter."""
    drawn, exact = interior(artefact)
    kept = (masses(exact) > 0).flatten(0, 1).all(0)
    return drawn[:, :, kept], exact[:, :, kept]


def component_count(image: Tensor) -> int:
    """Count the bright regions of an image (c, h, w).

    A region is a connected set of pixels above the mean of the darkest and the brightest value, in
    the sum over channels; pixels that touch at a corner are connected. An image whose contrast is
    at most `CONTRAST` of its peak, blank or grey, has no region.
    """
    from scipy import ndimage

    gray = image.double().sum(0).cpu().numpy()
    low, high = gray.min(), gray.max()
    if high - low <= CONTRAST * high:
        return 0
    return int(ndimage.label(gray > (low + high) / 2, structure=[[1] * 3] * 3)[1])


@dataclass(frozen=True)
class ComponentCount(Metric):
    """Difference in the number of bright regions between a frame and the exact geodesic.

    Regions are counted by `component_count`; the absolute difference is averaged over the times
    strictly between the ends. A cross-fade shows two regions where the geodesic moves a single one.
    The metric is blind to a region that is blurred or in the wrong place.
    """

    tasks: ClassVar[tuple[str, ...]] = TASKS
    blind_to: ClassVar[tuple[Degenerate, ...]] = ("blurred", "frozen", "teleporting")
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, inf), regions"
    title: ClassVar[str] = "Regions too many or too few"

    @property
    def id(self) -> str:
        """Name with the threshold, as a fraction of the contrast."""
        return "component_count[threshold=0.5]"

    def compute(self, artefact: KnownPaths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        drawn, exact = (
            torch.tensor([[component_count(image) for image in path] for path in paths])
            for paths in interior(artefact)
        )
        return Value.of((drawn - exact).abs().double().mean(1))
