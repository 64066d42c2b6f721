"""Networks of image translation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from otbench.nn.translation import STRETCH, ResidualPotential, UNet

X = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def weights(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_papers_unet_has_the_releases_size() -> None:
    """The release's 9.716 million count a bias before each normalisation, which would undo it."""
    network = UNet(3, 0, width=48, scales=4)
    before = sum(m.num_channels for m in network.modules() if isinstance(m, nn.GroupNorm))
    assert round((weights(network) + before) / 1e6, 3) == 9.716


@pytest.mark.parametrize(("side", "millions"), [(64, 22.93), (128, 32.37)])
def test_the_papers_potential_has_the_releases_size(side: int, millions: float) -> None:
    """Of ResNet_D in the release: 22.9 and 32.4 million."""
    with torch.device("meta"):
        network = ResidualPotential((3, side, side), 64, 512, blocks=2)
    assert round(weights(network) / 1e6, 2) == millions


@pytest.mark.parametrize("bounded", [False, True])
def test_a_residual_map_starts_near_the_identity(bounded: bool) -> None:
    network = UNet(3, 1, width=8, residual=True, bounded=bounded)
    rows = torch.cat([X, torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(1))], 1)
    far = (network(rows) - X).abs().mean()
    network.start_near_identity()
    assert (network(rows) - X).abs().mean() < 0.2 * far
    nn.init.zeros_(network.last.weight)
    torch.testing.assert_close(network(rows), X, atol=1e-5, rtol=0)


def test_a_bounded_map_is_bounded() -> None:
    for residual in (False, True):
        network = UNet(3, width=8, residual=residual, bounded=True)
        with torch.no_grad():
            network.last.weight.mul_(1e4)
        assert 1.5 < float(network(X).detach().abs().max()) <= STRETCH


def test_images_do_not_look_at_each_other_and_noise_counts() -> None:
    network = UNet(3, 1, width=8, scales=3)
    rows = torch.cat([X, torch.zeros(3, 1, 16, 16)], 1)
    torch.testing.assert_close(network(rows)[:1], network(rows[:1]), atol=1e-5, rtol=1e-5)
    other = rows.clone()
    other[:, 3] = 1
    assert (network(other) - network(rows)).abs().max() > 1e-4


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (3, 32, 64), (3, 20, 20)])
def test_a_potential_reads_any_size(shape: tuple[int, int, int]) -> None:
    network = ResidualPotential(shape, 8, 16)
    images = torch.rand(2, *shape)
    values = network(images)
    assert values.shape == (2,)
    # no normalisation: an image's number is its own
    torch.testing.assert_close(network(images[:1]), values[:1])


def test_a_scaled_potential_starts_with_slopes_of_the_order_of_a_mean_cost() -> None:
    plain, scaled = ResidualPotential((3, 16, 16)), ResidualPotential((3, 16, 16), scaled=True)
    scaled.load_state_dict(plain.state_dict())
    torch.testing.assert_close(scaled(X) * 768**0.5, plain(X))


def test_patches_lose_nothing() -> None:
    """A potential with patches tells images apart that differ in a shift of stripes only."""
    stripes = torch.zeros(2, 3, 16, 16)
    stripes[0, :, ::2], stripes[1, :, 1::2] = 1, 1
    values = ResidualPotential((3, 16, 16), 8, 16, patch=2)(stripes)
    assert float((values[0] - values[1]).detach().abs()) > 1e-4
