"""The space-time operators against dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from otbench.ot.dynamic.space_time_grid import SpaceTimeGrid, cosines, sines

SHAPES = [(5, 4, 6), (1, 3, 3), (2, 1, 4)]


class Dense:
    """One grid with random fields and samples, and its operators as matrices."""

    def __init__(self, shape: tuple[int, int, int], tau: float | None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.grid = grid = SpaceTimeGrid(*shape, tau=tau)
        free = torch.ones_like(grid.empty_fields(1))
        for part, dim in ((grid.fields(free).vertical, 2), (grid.fields(free).horizontal, 3)):
            part.select(dim, 0).zero_()
            part.select(dim, -1).zero_()
        self.free = free[0] > 0  # all but the momenta on the rim
        like = {"generator": generator, "dtype": torch.float64}
        self.fields = torch.randn(2, free.shape[1], **like) * free
        self.ends = torch.rand(2, 2, *shape[1:], **like)
        if tau is None:
            self.ends /= self.ends.sum((2, 3), keepdim=True)
        units = torch.eye(free.shape[1], dtype=torch.float64)[self.free]
        nothing = torch.zeros(len(units), 2, *shape[1:], dtype=torch.float64)
        self.continuity = grid.residual(units, nothing).flatten(1).mT
        self.sampling = grid.sample(units).mT
        self.origin = grid.sample(0 * self.fields, self.ends)
        self.right = -grid.residual(0 * self.fields, self.ends).flatten(1)
        self.samples = torch.randn(self.origin.shape, **like)

    def nearest(self, target: Tensor, gram: Tensor) -> Tensor:
        """Minimise x' gram x / 2 - target' x on the continuity equation, by its KKT system."""
        a = self.continuity
        system = torch.cat(
            [torch.cat([gram, a.mT], 1), torch.cat([a, a.new_zeros(2 * [len(a)])], 1)]
        )
        both = torch.cat([target, self.right], 1)
        return (both @ torch.linalg.pinv(system).mT)[:, : len(gram)]


@pytest.fixture(params=[None, 3.0], ids=["balanced", "unbalanced"])
def tau(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
def test_adjoint(shape, tau):
    dense = Dense(shape, tau)
    forward = (dense.grid.sample(dense.fields) * dense.samples).sum()
    backward = (dense.fields * dense.grid.sample_adjoint(dense.samples)).sum()
    torch.testing.assert_close(forward, backward)


@pytest.mark.parametrize("weight", [1.0, 3.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_projection_is_the_nearest_point(shape, tau, weight):
    dense = Dense(shape, tau)
    weights = torch.ones(dense.free.shape, dtype=torch.float64)
    weights[: dense.grid.fields(dense.fields).density[0].numel()] = weight
    weights = weights[dense.free]
    expected = dense.nearest(dense.fields[:, dense.free] * weights, weights.diag())
    found = dense.grid.project(dense.fields.clone(), dense.ends, weight)
    torch.testing.assert_close(found[:, dense.free], expected)
    assert float(found[:, ~dense.free].abs().sum()) == 0
    left = dense.grid.residual(found, dense.ends)
    torch.testing.assert_close(left, torch.zeros_like(left), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_projection_of_samples_is_the_nearest_point(shape, tau):
    dense = Dense(shape, tau)
    target = (dense.samples - dense.origin) @ dense.sampling
    expected = dense.nearest(target, dense.sampling.mT @ dense.sampling)
    found = dense.grid.project_samples(dense.samples, dense.ends, dense.origin)
    torch.testing.assert_close(found[:, dense.free], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_agreement_solves_the_normal_equations(shape, tau):
    dense = Dense(shape, tau)
    gram = dense.sampling.mT @ dense.sampling
    target = dense.fields[:, dense.free] + (dense.samples - dense.origin) @ dense.sampling
    expected = target @ torch.linalg.inv(gram + torch.eye(len(gram), dtype=torch.float64))
    found = dense.grid.agree(dense.fields, dense.samples, dense.origin)
    torch.testing.assert_close(found[:, dense.free], expected)


def test_transforms_are_scipy_s():
    from scipy.fft import dct, dst

    units = torch.eye(7, dtype=torch.float64)
    expected = dct(units.numpy(), type=2, norm="ortho").T
    torch.testing.assert_close(cosines(7), torch.as_tensor(expected))
    expected = dst(units[:6, :6].numpy(), type=1, norm="ortho")
    torch.testing.assert_close(sines(7), torch.as_tensor(expected))
