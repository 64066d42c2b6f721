r"""The space-time grid of dynamic transport: fields, their samples, and exact projections.

A path of T + 1 densities on h x w unit cells, with fixed ends, is moved by T momenta on the faces
of the cells and, in unbalanced mode, by T sources in the cells:

.. math:: \rho_{t+1} - \rho_t + \mathrm{div}\, m_t - s_t / \sqrt{\tau} = 0 .

(:math:`s` is the source times :math:`\sqrt{\tau}`, so that all terms of the energy look alike.)
Energies are functions of *samples* of these fields: each face has its momentum and the mean density
of the two cells and the two frames around it, exactly as in `path_energy`. All operators are
diagonal in the basis of sines in time and cosines in space. The transforms are small matrix
products, which at the sizes of images are as fast as an FFT and run on any device.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

RIM = 0.5**0.5
"""Weight of a cell's density in the sample on its rim face. The momentum is 0 there, so the sample
only repeats that the density is not negative. With this weight, cosines diagonalise averaging.
"""


class Fields(NamedTuple):
    """The unknowns: densities, momenta and sources.

    Attributes
    ----------
    density : Tensor, shape (n, T - 1, h, w)
        Frames between the ends.
    vertical, horizontal : Tensor, shape (n, T, h + 1, w) and (n, T, h, w + 1)
        Momenta through the faces, positive downwards and to the right, 0 on the rim.
    source : Tensor, shape (n, T, h, w) or (n, 0, h, w)
        Source times the square root of tau; without entries when balanced.
    """

    density: Tensor
    vertical: Tensor
    horizontal: Tensor
    source: Tensor


class Samples(NamedTuple):
    """The arguments of the energy: moving quantities, each with the density that carries it.

    Attributes
    ----------
    vertical, vertical_density : Tensor, shape (n, T, h + 1, w)
    horizontal, horizontal_density : Tensor, shape (n, T, h, w + 1)
    source, source_density : Tensor, shape (n, T, h, w) or (n, 0, h, w)
    density : Tensor, shape (n, T - 1, h, w)
        The frames themselves, which must not be negative.
    """

    vertical: Tensor
    horizontal: Tensor
    source: Tensor
    vertical_density: Tensor
    horizontal_density: Tensor
    source_density: Tensor
    density: Tensor


def cosines(size: int) -> Tensor:
    """Return the orthonormal DCT-II, shape (size, size): rows are frequencies."""
    k = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * k[:, None] * (k[None] + 0.5) / size) * math.sqrt(2 / size)
    basis[0] *= RIM
    return basis


def sines(size: int) -> Tensor:
    """Return the orthonormal DST-I for the size - 1 inner knots of size intervals, symmetric."""
    k = torch.arange(1, size, dtype=torch.float64)
    return torch.sin(math.pi * k[:, None] * k[None] / size) * math.sqrt(2 / size)


def squared_sines(size: int) -> Tensor:
    """Return sin^2(pi k / 2 size): a quarter of the eigenvalues of the Neumann Laplacian."""
    return torch.sin(math.pi * torch.arange(size, dtype=torch.float64) / (2 * size)).square()


class SpaceTimeGrid:
    """The operators of one grid; batches of fields and samples are flat, shape (n, entries).

    Parameters
    ----------
    intervals, height, width : int
    tau : float or None
        Price of sources against motion; None is balanced.
    device, dtype
    """

    def __init__(
        self,
        intervals: int,
        height: int,
        width: int,
        tau: float | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.intervals, self.height, self.width = intervals, height, width
        self.tau = tau
        self.device, self.dtype = device, dtype
        sources = 0 if tau is None else intervals
        inner = (intervals - 1, height, width)
        moving = [
            (intervals, height + 1, width),
            (intervals, height, width + 1),
            (sources, height, width),
        ]
        self._field_shapes = [inner, *moving]
        self._sample_shapes = [*moving, *moving, inner]
        self.moving = sum(math.prod(shape) for shape in moving)
        """Number of samples of moving quantities; as many samples of densities follow them."""
        self._space = (self._own(cosines(height)), self._own(cosines(width)))
        self._cosines = self._own(cosines(intervals))
        self._sines = self._own(sines(intervals))

    def _own(self, x: Tensor) -> Tensor:
        return x.to(device=self.device, dtype=self.dtype)

    @staticmethod
    def _parts(flat: Tensor, shapes: list[tuple[int, int, int]]) -> list[Tensor]:
        parts = flat.split([math.prod(shape) for shape in shapes], 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def fields(self, flat: Tensor) -> Fields:
        """View flat fields, shape (n, entries), by name."""
        return Fields(*self._parts(flat, self._field_shapes))

    def samples(self, flat: Tensor) -> Samples:
        """View flat samples, shape (n, entries), by name."""
        return Samples(*self._parts(flat, self._sample_shapes))

    def empty_fields(self, n: int) -> Tensor:
        """Return n flat fields of zeros."""
        return torch.zeros(
            n,
            sum(math.prod(shape) for shape in self._field_shapes),
            device=self.device,
            dtype=self.dtype,
        )

    # Samples

    def sample(self, fields: Tensor, ends: Tensor | None = None) -> Tensor:
        """Sample fields; the map is affine through the ends, linear without them.

        Parameters
        ----------
        fields : Tensor, shape (n, entries)
        ends : Tensor, shape (n, 2, h, w), or None
            First and last frame; None for zeros.
        """
        u = self.fields(fields)
        entries = sum(math.prod(shape) for shape in self._sample_shapes)
        flat = torch.empty(len(fields), entries, device=self.device, dtype=self.dtype)
        v = self.samples(flat)
        flat[:, : self.moving] = fields[:, -self.moving :]
        v.density.copy_(u.density)
        middle = torch.zeros(
            len(fields),
            self.intervals,
            self.height,
            self.width,
            device=self.device,
            dtype=self.dtype,
        )
        middle[:, :-1] += u.density
        middle[:, 1:] += u.density
        if ends is not None:
            middle[:, 0] += ends[:, 0]
            middle[:, -1] += ends[:, 1]
        middle /= 2
        for faces, dim in ((v.vertical_density, 2), (v.horizontal_density, 3)):
            size = middle.shape[dim]
            inner = faces.narrow(dim, 1, size - 1)
            torch.add(middle.narrow(dim, 0, size - 1), middle.narrow(dim, 1, size - 1), out=inner)
            inner /= 2
            faces.select(dim, 0).copy_(middle.select(dim, 0) * RIM)
            faces.select(dim, size).copy_(middle.select(dim, size - 1) * RIM)
        if self.tau is not None:
            v.source_density.copy_(middle)
        return flat

    def sample_adjoint(self, samples: Tensor) -> Tensor:
        """Apply the adjoint of the linear part of `sample`; rim momenta stay 0."""
        v = self.samples(samples)
        flat = self.empty_fields(len(samples))
        flat[:, -self.moving :] = samples[:, : self.moving]
        u = self.fields(flat)
        self._close_rim(u)
        middle = self._to_cells(v.vertical_density, 2)
        middle += self._to_cells(v.horizontal_density, 3)
        if self.tau is not None:
            middle += v.source_density
        torch.add(middle[:, :-1], middle[:, 1:], out=u.density)
        u.density.div_(2).add_(v.density)
        return flat

    @staticmethod
    def _to_cells(faces: Tensor, dim: int) -> Tensor:
        size = faces.shape[dim] - 1
        cells = faces.narrow(dim, 0, size) + faces.narrow(dim, 1, size)
        cells /= 2
        cells.select(dim, 0).add_(faces.select(dim, 0), alpha=RIM - 0.5)
        cells.select(dim, size - 1).add_(faces.select(dim, size), alpha=RIM - 0.5)
        return cells

    @staticmethod
    def _close_rim(u: Fields) -> None:
        u.vertical[:, :, [0, -1]] = 0
        u.horizontal[..., [0, -1]] = 0

    # The continuity equation

    def residual(self, fields: Tensor, ends: Tensor) -> Tensor:
        """Return the residual of the continuity equation, shape (n, T, h, w)."""
        u = self.fields(fields)
        change = self._flux(u)
        change[:, :-1] += u.density
        change[:, 1:] -= u.density
        change[:, 0] -= ends[:, 0]
        change[:, -1] += ends[:, 1]
        return change

    def _flux(self, u: Fields) -> Tensor:
        """Return the net outflow of each cell, with its source subtracted."""
        out = u.vertical[:, :, 1:] - u.vertical[:, :, :-1]
        out += u.horizontal[..., 1:]
        out -= u.horizontal[..., :-1]
        if self.tau is not None:
            out.sub_(u.source, alpha=self.tau**-0.5)
        return out

    def _correct_motion(self, u: Fields, potential: Tensor) -> None:
        """Subtract the continuity equation's adjoint, applied to a potential, from the motion."""
        u.vertical[:, :, 1:-1].sub_(potential[:, :, :-1]).add_(potential[:, :, 1:])
        u.horizontal[..., 1:-1].sub_(potential[..., :-1]).add_(potential[..., 1:])
        if self.tau is not None:
            u.source.add_(potential, alpha=self.tau**-0.5)

    def _transform(self, x: Tensor, time: Tensor, inverse: bool = False) -> Tensor:
        rows, columns = self._space
        if inverse:
            rows, columns, time = rows.mT, columns.mT, time.mT
        x = rows @ x @ columns.mT
        return (time @ x.flatten(2)).unflatten(2, x.shape[2:])

    @cached_property
    def _laplacian(self) -> Tensor:
        """Eigenvalues of the motion's part of the Poisson equation, shape (h, w)."""
        rows, columns = squared_sines(self.height), squared_sines(self.width)
        values = 4 * (rows[:, None] + columns[None])
        return self._own(values if self.tau is None else values + 1 / self.tau)

    @cached_property
    def _time(self) -> Tensor:
        """Squared sines in time, shape (T, 1, 1)."""
        return self._own(squared_sines(self.intervals)).view(-1, 1, 1)

    @cached_property
    def sampled_density(self) -> Tensor:
        """Eigenvalues of A^T A on densities, A the linear part of `sample`, (T - 1, h, w)."""
        rows, columns = squared_sines(self.height), squared_sines(self.width)
        space = 2 + (self.tau is not None) - self._own(rows[:, None] + columns[None])
        return 1 + (1 - self._time[1:]) * space

    def _inverse(self, weight: float | Tensor) -> Tensor:
        """Invert the eigenvalues of the Poisson equation; its null space, if any, gets 0."""
        values = self._laplacian.expand(self.intervals, -1, -1).clone()
        values[1:] += 4 * self._time[1:] / weight
        if self.tau is None:
            values[0, 0, 0] = torch.inf
        return 1 / values

    @cached_property
    def _by_weight(self) -> dict[float, Tensor]:
        return {}

    def project(self, fields: Tensor, ends: Tensor, weight: float = 1.0) -> Tensor:
        """Project fields on the continuity equation, in place.

        Parameters
        ----------
        fields : Tensor, shape (n, entries)
        ends : Tensor, shape (n, 2, h, w)
        weight : float
            Weight of the densities in the norm; momenta and sources have weight 1.
        """
        if weight not in self._by_weight:
            self._by_weight[weight] = self._inverse(weight)
        spectrum = self._transform(self.residual(fields, ends), self._cosines)
        spectrum *= self._by_weight[weight]
        potential = self._transform(spectrum, self._cosines, inverse=True)
        u = self.fields(fields)
        u.density.sub_(potential[:, :-1] - potential[:, 1:], alpha=1 / weight)
        self._correct_motion(u, potential)
        return fields

    @cached_property
    def _sampled_inverse(self) -> Tensor:
        return self._inverse(self.sampled_density)

    def project_samples(self, samples: Tensor, ends: Tensor, origin: Tensor) -> Tensor:
        """Return the fields on the continuity equation whose samples are nearest to these.

        Parameters
        ----------
        samples : Tensor, shape (n, entries)
        ends : Tensor, shape (n, 2, h, w)
        origin : Tensor, shape (n, entries)
            Samples of the ends alone: ``sample(empty_fields(n), ends)``.
        """
        fields = self.sample_adjoint(samples - origin)
        u = self.fields(fields)
        flux = self._flux(u)
        flux[:, 0] -= ends[:, 0]
        flux[:, -1] += ends[:, 1]
        density = self._transform(u.density, self._sines) / self.sampled_density
        spectrum = self._transform(flux, self._cosines)
        step = 2 * self._time[1:].sqrt()  # a difference in time turns sines into cosines
        spectrum[:, 1:] += step * density
        spectrum *= self._sampled_inverse
        density -= step * spectrum[:, 1:] / self.sampled_density
        u.density.copy_(self._transform(density, self._sines, inverse=True))
        self._correct_motion(u, self._transform(spectrum, self._cosines, inverse=True))
        return fields

    def agree(self, fields: Tensor, samples: Tensor, origin: Tensor) -> Tensor:
        """Return the fields that, together with their samples, are nearest to the given ones."""
        best = self.sample_adjoint(samples - origin).add_(fields)
        u = self.fields(best)
        density = self._transform(u.density, self._sines) / (1 + self.sampled_density)
        best /= 2  # momenta and sources are sampled as they are
        u.density.copy_(self._transform(density, self._sines, inverse=True))
        return best
