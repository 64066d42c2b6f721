"""The staggered grid: densities in the cells of an image, mobilities and momenta on their faces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

Boundary = Literal["noflux", "open", "periodic"]


@dataclass(frozen=True)
class Mobilities:
    r"""A batch of symmetric positive definite systems :math:`D U D^T + K` on one grid.

    Attributes
    ----------
    vertical : Tensor, shape (n, h + 1, w)
        Diagonal of U on the faces above and below the cells: face i lies between rows i - 1 and
        i. On a periodic grid faces 0 and h coincide and hold the same number.
    horizontal : Tensor, shape (n, h, w + 1)
        The same for the faces to the left and right.
    cells : Tensor, shape (n, h, w)
        Diagonal of K.
    periodic : bool
    """

    vertical: Tensor
    horizontal: Tensor
    cells: Tensor
    periodic: bool

    @property
    def diagonal(self) -> Tensor:
        """Diagonal of the matrices, shape (n, h, w)."""
        return (
            self.cells
            + self.vertical[:, :-1]
            + self.vertical[:, 1:]
            + self.horizontal[..., :-1]
            + self.horizontal[..., 1:]
        )

    def transposed(self) -> Mobilities:
        """Exchange rows and columns of the grid."""
        return Mobilities(self.horizontal.mT, self.vertical.mT, self.cells.mT, self.periodic)

    def couplings(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """List the couplings between cells, in groups that contain no pair twice.

        Returns
        -------
        list of (first, second, mobility)
            Flat cell numbers, shape (k,), and mobilities, shape (n, k): the matrix has
            ``-mobility`` at (first, second).
        """
        n, height, width = self.cells.shape
        number = torch.arange(height * width, device=self.cells.device).view(height, width)
        found = [
            (number[:-1], number[1:], self.vertical[:, 1:-1]),
            (number[:, :-1], number[:, 1:], self.horizontal[..., 1:-1]),
        ]
        if self.periodic and height > 1:
            found.append((number[-1:], number[:1], self.vertical[:, :1]))
        if self.periodic and width > 1:
            found.append((number[:, -1:], number[:, :1], self.horizontal[..., :1]))
        return [(a.flatten(), b.flatten(), u.reshape(n, -1)) for a, b, u in found]


@dataclass(frozen=True)
class Grid:
    """A grid of h x w unit cells with a boundary condition and optional walls.

    Attributes
    ----------
    height, width : int
    boundary : {"noflux", "open", "periodic"}
        Condition at the rim, in this order: no mass passes; mass may leave and enter freely (the
        potential is 0 outside, and a rim face has half the mobility of its cell); opposite rims
        are joined. The release of Feng & Strohmer calls the first two "neumann" and "dirichlet";
        their paper swaps the names.
    obstacles : Tensor, shape (h, w), bool, or None
        True where no mass can be.
    device : torch.device or str
    """

    height: int
    width: int
    boundary: Boundary = "noflux"
    obstacles: Tensor | None = None
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        if self.boundary not in get_args(Boundary):
            raise ValueError(
                f"boundary must be one of {', '.join(get_args(Boundary))}, got {self.boundary!r}"
            )
        if self.obstacles is None:
            return
        if self.obstacles.dtype != torch.bool:
            raise ValueError(f"obstacles must be a boolean mask, got {self.obstacles.dtype}")
        if self.obstacles.shape != (self.height, self.width):
            raise ValueError(
                f"obstacles must have the shape of a frame, {(self.height, self.width)}, "
                f"got {tuple(self.obstacles.shape)}"
            )
        if bool(self.obstacles.all()):
            raise ValueError("obstacles cover the whole frame: no cell is left for mass")

    @cached_property
    def free(self) -> Tensor:
        """Cells that are not obstacles, shape (h, w), bool."""
        if self.obstacles is None:
            return torch.ones(self.height, self.width, dtype=torch.bool, device=self.device)
        return ~self.obstacles.to(self.device)

    def extended(self, x: Tensor, dim: int) -> Tensor:
        """Add one ghost layer at both ends of a dimension: 0, or the opposite rim if periodic."""
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, -1, 1)
        if self.boundary != "periodic":
            first = last = torch.zeros_like(first)
        return torch.cat([last, x, first], dim)

    def _open_faces(self, dim: int) -> Tensor:
        size = self.free.shape[dim]
        if self.boundary == "periodic":
            inside = self.extended(self.free, dim)
            if size == 1:  # the face would join a cell to itself
                inside = torch.zeros_like(inside)
        else:
            rim = torch.full_like(self.free.narrow(dim, 0, 1), self.boundary == "open")
            inside = torch.cat([rim, self.free, rim], dim)
        passes = inside.narrow(dim, 0, size + 1) & inside.narrow(dim, 1, size + 1)
        return passes.double()

    @cached_property
    def vertical_faces(self) -> Tensor:
        """1 where mass can pass, else 0; shape (h + 1, w), float64."""
        return self._open_faces(0)

    @cached_property
    def horizontal_faces(self) -> Tensor:
        """1 where mass can pass, else 0; shape (h, w + 1), float64."""
        return self._open_faces(1)

    @cached_property
    def closed_regions(self) -> list[Tensor]:
        """Connected sets of free cells that no mass can leave, each (h, w), bool, smallest first.

        On each of them the null space of the matrix :math:`D U D^T` is the constants.
        """
        if self.boundary != "open" and self.obstacles is None:
            return [self.free]
        if self.obstacles is None:
            return []
        import numpy as np
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        vertical, horizontal = self.vertical_faces, self.horizontal_faces
        faces = Mobilities(
            vertical.unsqueeze(0),
            horizontal.unsqueeze(0),
            self.free.double().unsqueeze(0),
            self.boundary == "periodic",
        )
        edges = [torch.stack([i, j])[:, u[0] > 0] for i, j, u in faces.couplings()]
        cells = self.height * self.width
        if self.boundary == "open":  # one more node represents the outside
            rim = torch.zeros_like(self.free)
            rim[[0, -1]] = rim[:, [0, -1]] = True
            inside = (rim & self.free).flatten().nonzero()[:, 0]
            edges.append(torch.stack([inside, torch.full_like(inside, cells)]))
        pairs = torch.cat(edges, 1).cpu().numpy()
        graph = coo_array((np.ones(pairs.shape[1]), pairs), shape=(cells + 1, cells + 1))
        labels = torch.as_tensor(connected_components(graph, directed=False)[1])
        outside = labels[-1]
        grid = labels[:-1].view(self.height, self.width).to(self.device)
        found = grid[self.free].unique()
        regions = [grid == number for number in found[found != outside.to(found)]]
        return sorted(regions, key=lambda region: int(region.sum()))

    def mobilities(self, density: Tensor, cells: Tensor | None) -> Mobilities:
        r"""Average densities onto the faces and make :math:`D U D^T + K` positive definite.

        A closed region on which K vanishes is pinned at one cell. If the right-hand side sums to
        0, a positive number on that diagonal entry only selects the solution that vanishes there.
        Obstacles get the identity.

        Parameters
        ----------
        density : Tensor, shape (n, h, w)
            A face gets the mean of its two cells; beyond an open rim the density is 0.
        cells : Tensor, shape (n, h, w), or None
            Diagonal of K.
        """
        vertical, horizontal = self.face_density(density)
        if cells is None:
            cells = torch.zeros_like(density)
            for region in self.closed_regions:
                last = int(region.flatten().nonzero()[-1])
                cells.flatten(1)[:, last] = density.flatten(1)[:, last]
        if self.obstacles is not None:
            cells = cells.masked_fill(~self.free, 1.0)
        return Mobilities(vertical, horizontal, cells, self.boundary == "periodic")

    def face_density(self, density: Tensor) -> tuple[Tensor, Tensor]:
        """Return the densities on vertical and horizontal faces, 0 where no mass can pass."""
        rows, columns = self.extended(density, -2), self.extended(density, -1)
        vertical = (rows[..., :-1, :] + rows[..., 1:, :]) * (self.vertical_faces / 2)
        horizontal = (columns[..., :-1] + columns[..., 1:]) * (self.horizontal_faces / 2)
        return vertical, horizontal

    def face_differences(self, potential: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return :math:`D^T y`: the cell before a face minus the cell behind it."""
        rows, columns = self.extended(potential, -2), self.extended(potential, -1)
        vertical = (rows[..., :-1, :] - rows[..., 1:, :]) * self.vertical_faces
        horizontal = (columns[..., :-1] - columns[..., 1:]) * self.horizontal_faces
        return vertical, horizontal

    def squared_differences(self, potential: Tensor) -> Tensor:
        """Sum the squared differences of the potential over the faces of each cell."""
        vertical, horizontal = (d.square() for d in self.face_differences(potential))
        return (
            vertical[..., :-1, :]
            + vertical[..., 1:, :]
            + horizontal[..., :-1]
            + (horizontal[..., 1:])
        )
