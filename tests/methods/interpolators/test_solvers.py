"""The methods that solve a transport problem for every pair."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from otbench.conformance import check_method, tiny_images
from otbench.errors import UsageError
from otbench.interface import Scene
from otbench.plugins.registry import OWN_DISTRIBUTION, Plugin
from otbench.plugins.selection import Spec
from otbench_methods.interpolators.conv_barycenter import ConvBarycenter
from otbench_methods.interpolators.displacement import Displacement
from otbench_methods.interpolators.mmot import MultiMarginalOT
from otbench_methods.interpolators.proximal_splitting import ProximalSplitting
from otbench_methods.interpolators.sinkhorn import Sinkhorn

TIMES = torch.tensor([0.0, 0.25, 0.5, 0.6, 1.0])
QUICK = ProximalSplitting(intervals=6, iterations=80)
METHODS = [QUICK, ConvBarycenter(debiased=True), MultiMarginalOT(), Sinkhorn()]


def disc(row: float, column: float, level: float = 0.5) -> torch.Tensor:
    axis = torch.arange(16.0)
    image = torch.exp(-((axis[:, None] - row) ** 2 + (axis - column) ** 2) / (2 * 1.5**2))
    return level * image.where(image > 0.1, 0.0).view(1, 1, 16, 16)


ENDS = disc(5, 5), disc(9, 10)


def centroids(frames: torch.Tensor) -> torch.Tensor:
    axis = torch.arange(16.0)
    mass = frames.sum((-1, -2))
    return torch.stack([frames.sum(-1) @ axis / mass, frames.sum(-2) @ axis / mass], -1)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_disc_moves_straight_and_mass_is_linear(method):
    start, end = disc(5, 5, 0.3), ENDS[1]
    frames = method.interpolate(start, end, TIMES)
    assert frames.shape == (1, 5, 1, 16, 16)
    assert frames.dtype == torch.float32
    expected = torch.lerp(torch.tensor([5.0, 5.0]), torch.tensor([9.0, 10.0]), TIMES[:, None])
    torch.testing.assert_close(centroids(frames)[0, :, 0], expected, rtol=0, atol=0.25)
    mass = torch.lerp(start.sum(), end.sum(), TIMES)
    torch.testing.assert_close(frames.sum((2, 3, 4))[0], mass, rtol=2e-3, atol=0)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_colours_are_apart_and_empty_ones_fade(method):
    nothing = torch.zeros_like(ENDS[0])
    start, end = torch.cat([ENDS[0], ENDS[0]], 1), torch.cat([ENDS[1], nothing], 1)
    frames = method.interpolate(start, end, TIMES)
    torch.testing.assert_close(frames[:, :, :1], method.interpolate(*ENDS, TIMES))
    fading = (1 - TIMES).view(-1, 1, 1) * frames[0, 0, 1]
    torch.testing.assert_close(frames[0, :, 1], fading, rtol=0, atol=1e-4)


def test_multi_marginal_agrees_with_displacement():
    expected = Displacement().interpolate(*ENDS, TIMES)
    torch.testing.assert_close(
        MultiMarginalOT().interpolate(*ENDS, TIMES), expected, rtol=0, atol=1e-4
    )


def test_sinkhorn_is_near_displacement():
    expected = Displacement().interpolate(*ENDS, TIMES)
    found = Sinkhorn(epsilon=0.3).interpolate(*ENDS, TIMES)
    assert float((found - expected).abs().max()) < 0.1


@pytest.mark.parametrize("method", [MultiMarginalOT(), ConvBarycenter(debiased=True)])
def test_barycenter_of_four_corners(method):
    corners = torch.cat([disc(4, 4), disc(4, 10), disc(10, 4), disc(10, 10)])
    weights = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]])
    middle, corner = method.barycenter(corners, weights)
    torch.testing.assert_close(centroids(middle[0]), torch.tensor([7.0, 7.0]), rtol=0, atol=1e-2)
    assert float((corner - corners[1]).abs().max()) < 0.05
    assert float((middle - disc(7, 7)[0]).abs().max()) < 0.05


def test_too_many_images_are_named():
    with pytest.raises(UsageError, match="up to four images, got 5"):
        MultiMarginalOT().barycenter(disc(5, 5).repeat(5, 1, 1, 1), torch.full((1, 5), 0.2))


def test_walls_reach_the_solver_and_are_saved(blobs, short, tmp_path):
    walls = torch.zeros(16, 16, dtype=torch.bool)
    walls[:11, 7:9] = True
    method = replace(QUICK)
    free = method.interpolate(disc(5, 3), disc(5, 12), TIMES)
    method.fit(replace(blobs, obstacles=walls), short)
    frames = method.interpolate(disc(5, 3), disc(5, 12), TIMES)
    assert float(frames[..., walls].max()) == 0 < 0.1 < float(free[..., walls].max())
    method.save(tmp_path / "model")
    loaded = ProximalSplitting.load(tmp_path / "model")
    assert loaded == method
    torch.testing.assert_close(loaded.interpolate(disc(5, 3), disc(5, 12), TIMES), frames)
    method.fit(blobs, short)
    torch.testing.assert_close(method.interpolate(disc(5, 3), disc(5, 12), TIMES), free)
    method.save(tmp_path / "model")
    assert ProximalSplitting.load(tmp_path / "model").obstacles_ is None


def test_sealed_targets_are_named(blobs, short):
    walls = torch.zeros(16, 16, dtype=torch.bool)
    walls[:, 7:9] = True
    method = replace(QUICK)
    method.fit(replace(blobs, obstacles=walls), short)
    with pytest.raises(ValueError, match="seal off"):
        method.interpolate(disc(5, 3), disc(5, 12), TIMES)


def test_unbalanced_growth_goes_with_the_root():
    method = replace(QUICK, balanced=False, iterations=400, tolerance=1e-5)
    level = torch.full((1, 1, 6, 6), 0.2)
    frames = method.interpolate(level, 4 * level, torch.tensor([0.5]))
    torch.testing.assert_close(frames[0], 0.2 * 1.5**2 * torch.ones(1, 1, 6, 6), rtol=0, atol=5e-3)


def test_negative_images_are_named():
    with pytest.raises(ValueError, match="negative"):
        QUICK.interpolate(-ENDS[0], ENDS[1], TIMES)


@pytest.mark.parametrize(
    ("cls", "parameters", "message"),
    [
        (ProximalSplitting, {"algorithm": "fb"}, "one of dr, admm, pd"),
        (ProximalSplitting, {"intervals": 0}, "intervals must be at least 1"),
        (ProximalSplitting, {"tau": 0.0}, "tau must be above 0"),
        (ProximalSplitting, {"threshold": 1.0}, r"threshold must be at least 0 and below 1"),
        (ConvBarycenter, {"reg": 0.0}, "reg must be above 0"),
        (ConvBarycenter, {"threshold": -1.0}, "threshold"),
        (MultiMarginalOT, {"threshold": -1.0}, "threshold"),
        (Sinkhorn, {"epsilon": -1.0}, "epsilon must be above 0"),
    ],
)
def test_bad_parameters_are_named(cls, parameters, message):
    with pytest.raises(UsageError, match=message):
        cls(**parameters)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proximal-splitting", "proximal_splitting:ProximalSplitting"),
        ("conv-barycenter", "conv_barycenter:ConvBarycenter"),
        ("mmot", "mmot:MultiMarginalOT"),
        ("sinkhorn", "sinkhorn:Sinkhorn"),
    ],
)
def test_method_conforms(name, value):
    plugin = Plugin("methods", name, f"otbench_methods.{value}", OWN_DISTRIBUTION, "")
    assert [r for r in check_method(plugin, Spec(name)) if r.problem] == []


@pytest.mark.parametrize("method", [ProximalSplitting, MultiMarginalOT, Sinkhorn])
def test_large_data_sets_are_skipped_with_a_way_out(method):
    data = tiny_images()
    assert method().skip(data) is None
    assert "blobs has 32 test images" in method(most_images=31).skip(data)
    assert "[most_images=32]" in method(most_images=31).skip(data)


def test_large_corners_are_skipped_with_a_way_out():
    data = tiny_images()
    scene = replace(data, scene=Scene(corners=data.test.images[:4]))
    assert "mmot[most_pixels=1024]" in MultiMarginalOT().skip(scene)
    assert MultiMarginalOT(most_pixels=1024).skip(scene) is None
