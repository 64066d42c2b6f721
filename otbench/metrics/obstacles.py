"""Paths among walls: the mass on walls, and the energy needed to go around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from otbench.interface.artefacts import WalledPaths
from otbench.interface.metric import Degenerate, Direction, Metric, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.base import check_images
from otbench.metrics.geodesic import PairEnergy
from otbench.metrics.mass import THRESHOLD, masses


@dataclass(frozen=True)
class WallMass(Metric):
    """Share of a frame's mass that the method draws on walls, before they are masked.

    The mean over the frames of a path, its ends included. A blank frame counts as 1, so that
    omitting the mass is not rewarded. The energy measures how the rest of the mass moves.
    """

    tasks: ClassVar[tuple[str, ...]] = ("obstacles",)
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[str] = "[0, 1], share of the mass"
    title: ClassVar[str] = "Mass drawn on walls"
    blind_to: ClassVar[tuple[Degenerate, ...]] = ("frozen", "cross-faded", "teleporting")

    @property
    def id(self) -> str:
        """Name; the protocol is in the definition."""
        return "wall_mass"

    def compute(self, artefact: WalledPaths, ctx: ScoreContext) -> Value:
        """Average over paths; the standard error is over them."""
        check_images(drawn=artefact.drawn)
        whole = masses(artefact.drawn).sum(-1)
        walled = masses(artefact.drawn * artefact.obstacles).sum(-1)
        blank = whole <= 0
        return Value.of((walled / whole.where(~blank, 1)).masked_fill(blank, 1).mean(1))


@dataclass(frozen=True)
class EnergyOverBound(PairEnergy):
    r"""Energy T J / M of the masked path over the least cost of shortest paths around the walls.

    J is the least balanced kinetic energy of the masked frames, all scaled to the same mass, with
    no flux through walls and border (`otbench.metrics.mass.own_energy`). The bound is the cost of
    the optimal plan between the pair for squared lengths of shortest paths (`geodesic_cost`). Up to
    effects of the grid and the floor, no path that starts and ends at the pair costs less. Mass
    that is masked in one place and reappears in another has to be transported there, so going
    through walls is expensive. For the ends see `PairEnergy`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("obstacles",)
    range: ClassVar[str] = "[0, inf), about 1 at best"
    title: ClassVar[str] = "Energy of the path over the bound of shortest paths"

    @property
    def id(self) -> str:
        """Name with ends and floor."""
        return self.protocol("energy_over_bound")

    def compute(self, artefact: WalledPaths, ctx: ScoreContext) -> Value:
        """Average over paths whose two images differ; the standard error is over them."""
        from otbench.ot.discrete.geodesic_distance import geodesic_cost

        walls = artefact.obstacles.cpu().numpy()

        def cost(a: Tensor, b: Tensor) -> float:
            first, last = (x.double().cpu().numpy() for x in (a, b))
            return geodesic_cost(first / first.max(), last / last.max(), walls, THRESHOLD)

        return self.over(cost, artefact, artefact.obstacles)
