"""Neural optimal transport between images: what it learns, what moves when, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from otbench.conformance import TinyPair, tiny_image_pair
from otbench.errors import UsageError
from otbench.interface import ImageDataset, ImagePair, Split
from otbench.interface.saving import WEIGHTS
from otbench.interface.training import Budget, Diverged, FitContext
from otbench.nn.perceptual import AlexNetTaps
from otbench_methods.neural_maps.not_unet import NOTUNet

PAIR = tiny_image_pair()
X = PAIR.source_images.test.images[:6].flatten(1)
SMALL = {"batch": 8, "width": 4, "scales": 1, "potential_width": 4, "potential_widest": 4}
WEAK = SMALL | {"cost": "weak", "noise_count": 2, "inner_steps": 1}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(method: NOTUNet, steps: int = 2, data: ImagePair = PAIR, reports: list | None = None):
    def keep(step: int, steps: int, seconds: float, losses: dict[str, float]) -> None:
        if reports is not None:
            reports.append(losses)

    method.fit(data, FitContext(Budget(steps, 16), 0, on_progress=keep))
    return method


@pytest.fixture(scope="module")
def strong() -> NOTUNet:
    return fitted(NOTUNet(**SMALL))


@pytest.fixture(scope="module")
def weak() -> NOTUNet:
    return fitted(NOTUNet(**WEAK))


def shifted_pair(shift: float) -> ImagePair:
    """Gray squares of random brightness, and the same law brighter: x + shift is optimal."""

    def side(name: str, seed: int, by: float) -> ImageDataset:
        def split(n: int, part: int) -> Split:
            level = torch.rand(n, 1, 1, 1, generator=seeded(seed + part)) * 0.4 + 0.1
            return Split((level + by).expand(n, 1, 4, 4).contiguous())

        return ImageDataset(name, "v", split(512, 0), split(8, 1), split(64, 2), name)

    return ImagePair("squares", "v", side("s", 10, 0.0), side("t", 20, shift))


def test_it_learns_the_shift_that_is_optimal() -> None:
    pair = shifted_pair(0.4)
    wider = {"batch": 16, "width": 8, "potential_width": 8, "potential_widest": 8}
    brief = {"lr": 1e-3, "potential_lr": 1e-3, "ema_decay": 0.98, "milestones": (0.5, 0.75)}
    method = NOTUNet(**SMALL | wider | brief, r1=0.1)
    x = pair.source_images.test.images.flatten(1)
    before = fitted(NOTUNet(**SMALL, lr=1e-9), 1, pair).push(x)
    moved = fitted(method, 300, pair).push(x)
    variance = float(x.var(0).sum())

    def uvp(y: Tensor) -> float:
        return 100 * float((y - x - 0.4).square().sum(1).mean()) / variance

    assert uvp(before) > 500
    assert uvp(moved) < 30
    assert method.status_ == "ok"


def test_a_step_moves_both_networks_and_each_only_in_its_turn() -> None:
    method = fitted(NOTUNet(**SMALL), 1)
    starts = fitted(NOTUNet(**SMALL, lr=1e-12, potential_lr=1e-12), 1)
    for part in ("map", "potential"):
        own, other = (getattr(m.network_, part).state_dict() for m in (method, starts))
        assert any((own[n] - other[n]).abs().max() > 1e-6 for n in own), part
    network = method.network_.requires_grad_(True)
    x, y = 2 * X[:3] - 1, 2 * X[3:] - 1
    method.map_loss(x, X.new_zeros(3, 0), 0.0)[0].backward()
    assert all(p.grad is not None for p in network.map.parameters())
    network.zero_grad()
    loss, _ = method.potential_loss(x, y)
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in network.map.parameters())
    torch.testing.assert_close(loss, method.score(x).mean() - method.score(y).mean())


def test_a_constant_on_the_potential_changes_no_gradient(strong: NOTUNet) -> None:
    network, x = strong.network_, 2 * X - 1
    gradients = []
    for offset in (0.0, 7.0):
        with torch.no_grad():
            network.potential.last.bias.add_(offset)
        network.requires_grad_(True).zero_grad()
        strong.map_loss(x, x.new_zeros(6, 0), 0.0)[0].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.map.parameters()]))  # type: ignore[union-attr]
    network.requires_grad_(False)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("cost", "wanted"),
    [
        ("l2", lambda x, y: (x - y[:, 0]).square().mean()),
        ("l1", lambda x, y: (x - y[:, 0]).abs().mean()),
        (
            "weak",
            lambda x, y: (
                (x - y.mean(1)).square().mean() + (1 - 0.5 - 1 / y.shape[1]) * y.var(1).mean()
            ),
        ),
    ],
)
def test_costs_are_means_over_pixels(cost: str, wanted) -> None:  # type: ignore[no-untyped-def]
    method = NOTUNet(**SMALL, cost=cost)
    y = torch.randn(6, 1 if cost != "weak" else 4, X.shape[1], generator=seeded(3))
    torch.testing.assert_close(method.cost_of(X, y, 0.5), wanted(X, y))


def test_the_perceptual_cost_is_between_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights in the place of the asset's."""
    torch.manual_seed(0)
    taps = AlexNetTaps().requires_grad_(False)
    monkeypatch.setattr(
        "otbench_methods.neural_maps.not_unet.store.require", lambda name: Path(name)
    )
    monkeypatch.setattr(
        "otbench_methods.neural_maps.not_unet.load_taps", lambda folder, device: taps
    )
    method = fitted(NOTUNet(**SMALL, cost="perceptual"), 1)
    x, y = (2 * part - 1 for part in (X[:2], X[2:4]))
    as_images = [part.unflatten(1, (1, 16, 16)) for part in (x, y)]
    wanted = (taps(as_images[0]) - taps(as_images[1])).square().mean()
    torch.testing.assert_close(method.cost_of(x, y.unsqueeze(1), 0.0), wanted)
    assert float(method.cost_of(x, x.unsqueeze(1), 0.0)) == pytest.approx(0, abs=1e-10)
    assert method.cost_gamma() is None


def test_noise_draws_and_means(weak: NOTUNet, strong: NOTUNet) -> None:
    assert torch.equal(weak.push(X, seeded(0)), weak.push(X, seeded(0)))
    assert not torch.equal(weak.push(X, seeded(0)), weak.push(X, seeded(1)))
    draws = weak.conditional(torch.cat([X[:1], X[:1]]), 3, seeded())
    assert draws.shape == (2, 3, 256)
    torch.testing.assert_close(draws[0], draws[1], atol=1e-6, rtol=0)
    assert float(draws[0].var(dim=0).max()) > 0
    assert torch.equal(strong.push(X, seeded(0)), strong.push(X, seeded(1)))
    assert float(strong.conditional(X, 3, seeded()).var(dim=1).max()) == 0
    assert strong.cost_gamma() == 0.0
    assert weak.cost_gamma() == 0.66


def test_noise_comes_with_or_without_a_place(weak: NOTUNet) -> None:
    field = fitted(NOTUNet(**WEAK, noise_channels=3, noise_field=True), 1)
    assert (weak.noise_dimension(), field.noise_dimension()) == (8, 3 * 16 * 16)
    for method in (weak, field):
        draws = method.conditional(X[:2], 2, seeded())
        assert float((draws[:, 0] - draws[:, 1]).abs().amax()) > 0


def test_the_average_follows_the_map() -> None:
    last = fitted(NOTUNet(**SMALL, ema_decay=0.0), 3).network_
    for own, mean in zip(last.map.parameters(), last.average.parameters(), strict=True):
        assert torch.equal(own, mean)
    slow = fitted(NOTUNet(**SMALL, ema_decay=0.9), 3).network_
    assert not torch.equal(slow.map.last.weight, slow.average.last.weight)


def test_r1_holds_the_slope_down(strong: NOTUNet) -> None:
    method = NOTUNet(**SMALL, r1=2.0)
    method.network_, method.image_shape_ = strong.network_, strong.image_shape_
    y = 2 * X - 1
    with torch.enable_grad():
        plain, whole = method.potential_loss(-y, y.clone())
    step = 1e-2 * torch.randn(y.shape, generator=seeded(4))
    # by finite differences: the directional derivative never exceeds the slope
    rise = (method.score(y + step) - method.score(y - step)).detach()
    slope = rise.abs() / (2 * step.norm(dim=1))
    assert float((whole - plain).detach()) >= float(slope.square().mean())


def test_what_it_reports_and_keeps(tmp_path: Path, weak: NOTUNet) -> None:
    reports: list[dict[str, float]] = []
    fitted(NOTUNet(**WEAK, r1=1.0), 3, reports=reports)
    assert set(reports[-1]) == {"map", "cost", "conditional_variance", "potential", "spread"}
    weak.save(tmp_path)
    loaded = NOTUNet.load(tmp_path)
    assert torch.equal(loaded.push(X), weak.push(X))
    assert torch.equal(loaded.potential_losses(), weak.potential_losses())
    assert loaded.potential_losses().shape == (2,)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        NOTUNet.load(tmp_path)


def test_seconds_end_training_with_a_map() -> None:
    method = NOTUNet(**SMALL)
    method.fit(PAIR, FitContext(Budget(10**6, 16, seconds=0.5)))
    assert 0 < len(method.potential_losses()) < 10**4
    assert torch.isfinite(method.push(X)).all()


def test_divergence_is_named() -> None:
    with pytest.raises(Diverged, match=r"potential's loss became .* lower potential_lr"):
        fitted(NOTUNet(**SMALL, potential_lr=1e4, clip=0.0), 20)


def test_collapse_is_flagged() -> None:
    """The source is one image, and nothing is learned."""
    still = Split(torch.full((8, 1, 16, 16), 0.5))
    one = ImageDataset("one", "v", still, still, still, "2" * 64)
    pair = ImagePair("one-to-many", "v", one, PAIR.target_images)
    assert fitted(NOTUNet(**SMALL, lr=1e-9), 1, pair).status_ == "collapsed"


def test_what_it_cannot_run_on() -> None:
    assert NOTUNet().skip(PAIR) is None
    assert "multiples of 64" in str(NOTUNet(scales=6).skip(PAIR))
    assert not isinstance(TinyPair(), NOTUNet.runs_on)
    tiny = shifted_pair(0.1)
    assert "AlexNet needs gray or RGB images with sides of at least 16" in str(
        NOTUNet(cost="perceptual").skip(tiny)
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cost": "l3"}, "cost must be one of weak, l2, l1, kernel, perceptual"),
        ({"cost": "weak", "noise_count": 1}, "at least 2 draws"),
        ({"cost": "weak", "gamma": 1.5}, "bound the map's output"),
        ({"width": 0}, "width must be at least 1"),
        ({"scales": 0}, "scales must be at least 1"),
        ({"beta1": 1.0}, "beta1"),
        ({"lr": 0.0}, "lr must be above 0"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NOTUNet(**parameters)


def test_gamma_above_one_with_a_bound_is_allowed() -> None:
    assert NOTUNet(cost="weak", gamma=1.5, squash=True).bounded
