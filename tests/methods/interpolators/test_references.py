"""The two references that learn nothing."""

from __future__ import annotations

import pytest
import torch

from otbench.errors import UsageError
from otbench_methods.interpolators.crossfade import Crossfade
from otbench_methods.interpolators.displacement import Displacement

TIMES = torch.linspace(0, 1, 5)


@pytest.fixture
def ends(blobs):
    images = blobs.test.images
    return images[:4], images[4:8]


def centroids(frames: torch.Tensor) -> torch.Tensor:
    axis = torch.arange(32.0)
    mass = frames.sum((-1, -2))
    rows, columns = (frames.sum(-1) @ axis) / mass, (frames.sum(-2) @ axis) / mass
    return torch.stack([rows, columns], -1)


@pytest.mark.parametrize("method", [Crossfade(), Displacement()])
def test_path_joins_the_images(method, ends):
    frames = method.interpolate(*ends, TIMES)
    assert frames.shape == (4, 5, 1, 32, 32)
    assert frames.dtype == torch.float32
    assert float(frames.min()) >= 0
    assert float(frames.max()) <= 1
    for k, end in ((0, ends[0]), (-1, ends[1])):
        assert float((frames[:, k] - end).abs().max()) <= 1.0001e-3  # displacement's threshold


@pytest.mark.parametrize("method", [Crossfade(), Displacement()])
def test_mass_is_linear(method, ends):
    mass = method.interpolate(*(0.5 * x for x in ends), TIMES).sum((2, 3, 4))
    expected = torch.lerp(mass[:, :1], mass[:, -1:], TIMES)
    torch.testing.assert_close(mass, expected, rtol=1e-4, atol=1e-3)


def test_displacement_moves_the_centroid_straight(ends):
    whole = [torch.where(0.5 * x > 1e-3, 0.5 * x, torch.zeros(())) for x in ends]
    path = centroids(Displacement().interpolate(*whole, TIMES)[:, :, 0])
    expected = torch.lerp(path[:, :1], path[:, -1:], TIMES.view(1, -1, 1))
    torch.testing.assert_close(path, expected, rtol=0, atol=1e-3)


def test_displacement_has_one_peak_where_crossfade_has_two(ends):
    far = (centroids(ends[0][:, 0]) - centroids(ends[1][:, 0])).norm(dim=-1).argmax()
    one, other = (x[far : far + 1] for x in ends)
    middle = torch.tensor([0.5])
    peaks = [float(m.interpolate(one, other, middle).max()) for m in (Crossfade(), Displacement())]
    assert peaks[0] < 0.7
    assert peaks[1] > 0.9


def test_colours_move_by_themselves(ends):
    one = torch.cat([ends[0], ends[1], torch.zeros_like(ends[0])], 1)
    other = torch.cat([ends[1], ends[1], ends[0]], 1)
    frames = Displacement().interpolate(one, other, TIMES)
    torch.testing.assert_close(frames[:, :, :1], Displacement().interpolate(*ends, TIMES))
    torch.testing.assert_close(frames[:, 2, 1], ends[1][:, 0], rtol=0, atol=1.1e-3)
    torch.testing.assert_close(frames[:, 2, 2], ends[0][:, 0] / 2, rtol=0, atol=1.1e-3)


def test_crossfade_barycenter_is_the_weighted_mean(ends):
    weights = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0]])
    mean, first = Crossfade().barycenter(ends[0], weights)
    torch.testing.assert_close(mean, ends[0].mean(0))
    torch.testing.assert_close(first, ends[0][0])


@pytest.mark.parametrize("method", [Crossfade(), Displacement(threshold=0.01)])
def test_save_and_load(method, tmp_path, blobs, short):
    method.fit(blobs, short)
    method.save(tmp_path / "model")
    assert type(method).load(tmp_path / "model") == method


def test_bad_threshold_is_named():
    with pytest.raises(UsageError, match=r"threshold must be at least 0 and below 1, got 1.5"):
        Displacement(threshold=1.5)
