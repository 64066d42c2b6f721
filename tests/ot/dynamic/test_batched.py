"""The compiled kernel against the torch and LAPACK path, held to dense algebra elsewhere."""

from __future__ import annotations

import sys

import pytest
import torch

from otbench.ot.dynamic import terms as module
from otbench.ot.dynamic.batched import kernel_terms
from otbench.ot.dynamic.grid import Grid
from otbench.ot.dynamic.lanes import LANES
from otbench.ot.dynamic.path_energy import path_energy
from otbench.ot.dynamic.terms import torch_terms


def walls(height: int, width: int) -> torch.Tensor:
    """Draw two walls that leave a closed chamber in the corner and a way around."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[2, :3] = mask[:3, 2] = True
    mask[height - 2, 1:-1] = True
    return mask


@pytest.mark.parametrize(
    "shape", [(8, 8), (16, 16), (7, 12), (12, 5), (1, 5), (6, 1), (2, 2)], ids=str
)
@pytest.mark.parametrize("averaging", ["mid", "left"])
@pytest.mark.parametrize("boundary", ["noflux", "open", "periodic"])
def test_equals_the_torch_path(boundary, averaging, shape, positive_frames):
    masks = [None] if min(shape) < 5 else [None, walls(*shape)]
    for obstacles in masks:
        grid = Grid(*shape, boundary, obstacles)
        frames = positive_frames(3, 4, *shape)
        for tau in (None, 5.0):
            found = kernel_terms(frames, grid, averaging, tau, True)
            expected = torch_terms(frames, grid, averaging, tau, True)
            for one, other in zip(found, expected, strict=True):
                free = one if one.dim() == 1 else one[..., grid.free]
                same = other if other.dim() == 1 else other[..., grid.free]
                error = (free - same).abs().max() / same.abs().max()
                assert float(error) < 1e-10


@pytest.mark.parametrize("steps", [1, LANES - 1, LANES, LANES + 1, 3 * LANES + 2])
def test_any_number_of_steps_and_threads(steps, positive_frames):
    frames = positive_frames(2, steps + 1, 6, 7)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(kernel_terms(frames, Grid(6, 7), "mid", None, True))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    expected = torch_terms(frames, Grid(6, 7), "mid", None, True)
    torch.testing.assert_close(found[0][0], expected[0])
    torch.testing.assert_close(found[0][2], expected[2])


def test_bare_background_keeps_its_digits(stored_run):
    # densities from 1e-5 to 1: the worst conditioned systems in use
    frames = torch.stack([stored_run[0], stored_run.mean(0), stored_run[1]]).unsqueeze(0)
    for tau in (None, 10.0):
        one, other = (
            compute(frames, Grid(32, 32), "mid", tau, True)
            for compute in (kernel_terms, torch_terms)
        )
        torch.testing.assert_close(one[0], other[0], rtol=1e-10, atol=0)
        assert float((one[2] - other[2]).abs().max() / other[2].abs().max()) < 1e-8


def test_indefinite_system_is_an_error():
    frames = torch.ones(1, 3, 4, 4, dtype=torch.float64)
    frames[0, 2] = -3.0  # path_energy refuses this earlier
    with pytest.raises(ValueError, match="system 1 is not positive definite"):
        kernel_terms(frames, Grid(4, 4), "mid", 1.0, False)


def test_lapack_serves_where_numba_is_absent(monkeypatch, positive_frames):
    frames = positive_frames(2, 3, 5, 5).requires_grad_()
    assert module._cpu_terms() is kernel_terms
    expected = torch.autograd.grad(path_energy(frames).sum(), frames)
    monkeypatch.setitem(sys.modules, "otbench.ot.dynamic.batched", None)
    module._cpu_terms.cache_clear()
    try:
        assert module._cpu_terms() is torch_terms
        found = torch.autograd.grad(path_energy(frames).sum(), frames)
    finally:
        module._cpu_terms.cache_clear()
    torch.testing.assert_close(found, expected)
