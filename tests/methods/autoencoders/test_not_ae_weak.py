"""NOT-AE with a weak cost: unbiased estimates, noise that is shared, drawn and kept as it says."""

import pytest
import torch
from safetensors.torch import save_file

from otbench.assets import store
from otbench.conformance import check_method, tiny_images
from otbench.errors import UsageError
from otbench.interface import Budget, FitContext
from otbench.nn.perceptual import WEIGHTS, AlexNetTaps, load_taps
from otbench.plugins.registry import Registry
from otbench.plugins.selection import parse_one
from otbench_methods.autoencoders.not_ae import NOTAE
from otbench_methods.autoencoders.not_ae_costs import (
    FEATURE_SCALE,
    Cost,
    mean_variance,
    transport_cost,
    weak_quadratic_cost,
)

WEAK = {"gamma": 0.66, "noise_count": 2, "decode_draws": 3}


def context(steps: int, seed: int = 0) -> FitContext:
    return FitContext(Budget(steps, batch_size=8), seed)


def fitted(data, steps: int, **parameters) -> NOTAE:
    method = NOTAE(**{**WEAK, **parameters})
    method.fit(data, context(steps))
    return method


@pytest.fixture(scope="module")
def trained(blobs) -> NOTAE:
    return fitted(blobs, 6, inner_steps=2, potential_lr=3e-3)


@pytest.fixture
def images(blobs):
    return blobs.test.images[:6]


# ------------------------------------------------------------------------------------ the estimator
@pytest.mark.parametrize("gamma", [0.0, 0.33, 1.0])
@pytest.mark.parametrize("k", [2, 5])
def test_the_weak_cost_is_unbiased(gamma, k):
    """Averaged over many draws of k it is 2 / d C_{2,gamma}, known for a Gaussian mu."""
    generator = torch.Generator().manual_seed(0)
    n, d = 60_000, 3
    x = torch.tensor([0.3, -0.5, 1.0]).double()
    mean, std = torch.tensor([0.1, 0.4, -0.2]).double(), torch.tensor([0.5, 1.0, 0.2]).double()
    y = mean + std * torch.randn(n, k, d, generator=generator, dtype=torch.float64)
    costs = weak_quadratic_cost(x.expand(n, d), y, gamma)
    closed = ((x - mean).square().sum() + (1 - gamma) * std.square().sum()) / d
    assert float(costs.mean()) == pytest.approx(float(closed), abs=4 * float(costs.std()) / n**0.5)


@pytest.mark.parametrize("k", [2, 4, 7])
def test_the_weak_cost_is_the_formula_of_the_release(k):
    """mse(x, mean of y) + (1 - gamma - 1 / k) times the mean unbiased variance."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(5, 2, 4, 4, generator=generator).double()
    y = torch.randn(5, k, 2, 4, 4, generator=generator).double()
    gamma = 0.66
    error = (x - y.mean(1)).square().flatten(1).mean(1)
    spread = (y - y.mean(1, keepdim=True)).square().sum(1).flatten(1).mean(1) / (k - 1)
    wanted = error + (1 - gamma - 1 / k) * spread
    torch.testing.assert_close(weak_quadratic_cost(x, y, gamma), wanted)
    torch.testing.assert_close(mean_variance(y), spread)


def test_without_variance_the_weak_cost_is_the_strong_one():
    x, y = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(2)).double()
    same = y.unsqueeze(1).expand(4, 3, 9)
    for gamma in (0.0, 1.0):
        torch.testing.assert_close(weak_quadratic_cost(x, same, gamma), transport_cost(x, y, "l2"))


def test_one_draw_has_no_variance():
    with pytest.raises(ValueError, match="at least 2 draws"):
        weak_quadratic_cost(torch.zeros(3, 2), torch.zeros(3, 1, 2), 0.5)


# -------------------------------------------------------------------------------------- perceptual
@pytest.fixture
def alexnet(tmp_path, monkeypatch):
    """Let the store hand out random weights under the names of the asset."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return 0.1 * torch.randn(*shape, generator=generator)

    state = {
        "net.slice1.0.weight": drawn(64, 3, 11, 11),
        "net.slice1.0.bias": drawn(64),
        "net.slice2.3.weight": drawn(192, 64, 5, 5),
        "net.slice2.3.bias": drawn(192),
        "scaling_layer.shift": drawn(1, 3, 1, 1),
        "scaling_layer.scale": 0.5 + drawn(1, 3, 1, 1).abs(),
    }
    save_file(state, tmp_path / WEIGHTS)
    monkeypatch.setattr(store, "require", {"lpips-alex": tmp_path}.__getitem__)
    return tmp_path, state


@pytest.mark.parametrize("channels", [1, 3])
def test_the_features_are_those_of_torchvisions_alexnet(alexnet, channels):
    from torchvision.models import alexnet as build

    _, state = alexnet
    theirs = build(weights=None).features[:5].eval()
    names = {"0": "net.slice1.0", "3": "net.slice2.3"}
    theirs.load_state_dict(
        {
            f"{i}.{part}": state[f"{n}.{part}"]
            for i, n in names.items()
            for part in ("weight", "bias")
        }
    )
    x, y = torch.rand(2, 3, channels, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    layers = []
    with torch.no_grad():
        a, b = (
            (image.expand(-1, 3, -1, -1) - state["scaling_layer.shift"])
            / state["scaling_layer.scale"]
            for image in (x, y)
        )
        for layer in theirs:
            # The rectifiers work in place.
            a, b = layer(a.clone()), layer(b.clone())
            if isinstance(layer, torch.nn.ReLU):
                layers.append((a - b).square().flatten(1).mean(1))
        got = Cost("perceptual", torch.device("cpu")).strong(x, y)
    torch.testing.assert_close(got * FEATURE_SCALE, sum(layers) / 2, rtol=1e-4, atol=1e-6)


def test_a_missing_weight_is_named(tmp_path):
    save_file({"net.slice1.0.bias": torch.zeros(64)}, tmp_path / WEIGHTS)
    with pytest.raises(RuntimeError, match=r"slice2\.3\.weight"):
        load_taps(tmp_path)


@pytest.mark.usefixtures("alexnet")
@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_the_perceptual_cost_trains_the_map_and_not_its_features(blobs, gamma, tmp_path):
    method = fitted(blobs, 2, cost="perceptual", gamma=gamma, inner_steps=1)
    assert isinstance(method._cost.network, AlexNetTaps)
    before = fitted(blobs, 0, cost="perceptual", gamma=gamma)
    moved = zip(
        method.network_.encoder.parameters(), before.network_.encoder.parameters(), strict=True
    )
    assert not any(torch.equal(a, b) for a, b in list(moved)[::2])
    assert all(not p.requires_grad for p in method._cost.network.parameters())
    # The model holds no copy of the asset.
    method.save(tmp_path / "model")
    loaded = NOTAE.load(tmp_path / "model")
    x = blobs.test.images[:3]
    torch.testing.assert_close(loaded.encode(x), method.encode(x))
    assert not any("slice1" in name for name in loaded.network_.state_dict())


def test_images_that_alexnet_cannot_read_are_skipped(blobs):
    from dataclasses import replace

    from otbench.interface import Split

    tiny = replace(blobs, train=Split(torch.zeros(4, 1, 8, 8)))
    assert "at least 16" in (NOTAE(cost="perceptual").skip(tiny) or "")
    assert NOTAE(cost="l2").skip(tiny) is None
    assert NOTAE(cost="perceptual").skip(blobs) is None


# ------------------------------------------------------------------------------------- training
def test_the_map_loss_is_the_weak_cost_less_the_potential(blobs, trained, images):
    noise = trained.draw_noise(6, 4, torch.Generator().manual_seed(3))
    assert noise.shape == (6, 4, 16)
    loss, cost, variance = trained.map_loss(images, noise, gamma=0.4)
    y = torch.stack([trained.transport(images, noise[:, k : k + 1])[:, 0] for k in range(4)], 1)
    torch.testing.assert_close(cost, weak_quadratic_cost(2 * images - 1, y, 0.4).mean())
    potential = trained.network_.score(y.flatten(0, 1)).mean()
    torch.testing.assert_close(loss, cost - potential)
    torch.testing.assert_close(variance, mean_variance(y).mean())
    assert variance > 0


def test_the_potential_step_takes_one_z_an_image_and_independent_batches(blobs):
    seen = []
    method = NOTAE(**WEAK, inner_steps=1)
    loss = method.potential_loss
    method.potential_loss = lambda x, y, z: seen.append((x, y, z)) or loss(x, y, z)
    before = fitted(blobs, 0, inner_steps=1).network_.scorer.state_dict()
    method.fit(blobs, context(1))
    ((x, independent, noise),) = seen
    assert noise.shape == (8, 1, 16)
    assert not torch.equal(x, independent)
    after = method.network_.scorer.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) >= len(before) - 1


def test_gamma_rises_over_the_first_quarter_of_the_potentials_steps():
    method = NOTAE(gamma=0.8)
    rise = [method.gamma_at(step, 100) for step in range(100)]
    assert rise[0] == 0
    assert rise[10] == pytest.approx(0.8 * 10 / 25)
    assert rise[25:] == [0.8] * 75
    assert NOTAE(gamma=0.8, warmup=0.0).gamma_at(0, 100) == 0.8
    used = []
    method = NOTAE(**WEAK, inner_steps=2, warmup=0.5)
    inner = method.map_loss
    method.map_loss = lambda x, z, g: used.append(g) or inner(x, z, g)
    method.fit(tiny_images((16, 8, 8)), context(8))
    assert used == pytest.approx([0, 0, 0.33, 0.33, 0.66, 0.66, 0.66, 0.66])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": 0.5, "noise_count": 1}, "noise_count must be at least 2, got 1"),
        ({"gamma": 1.5, "squash": False}, "gamma must be at most 1, or squash=true"),
        ({"gamma": -0.1}, "gamma must be at least 0"),
        ({"gamma": 0.5, "cost": "l1"}, "needs cost=l2 or perceptual"),
        ({"decode_mode": "median"}, "decode_mode must be one of mean, sample, zero"),
        ({"decode_draws": 0}, "decode_draws must be from 1 to"),
        ({"noise_size": 0}, "noise_size must be at least 1"),
        ({"noise_scale": 0.0}, "noise_scale must be above 0"),
    ],
)
def test_what_makes_no_weak_cost_is_refused(parameters, message):
    with pytest.raises(UsageError, match=message):
        NOTAE(**parameters)
    assert NOTAE(gamma=1.5).stochastic
    assert NOTAE(noise_count=1).gamma == 0


# ------------------------------------------------------------------------------------- decoding
def test_the_three_ways_to_decode(trained, images):
    z = trained.encode(images)
    network, bank = trained.network_, trained.network_.bank
    outputs = torch.stack([network.output(z, bank[j].expand(6, -1)) for j in range(3)])
    torch.testing.assert_close(trained.decode(z), network.to_image(outputs.mean(0)))
    torch.testing.assert_close(
        trained.decode(z, "zero"), network.to_image(network.output(z, torch.zeros(6, 16)))
    )
    samples = trained.decode(z, "sample")
    torch.testing.assert_close(samples, network.to_image(network.output(z, bank[:6])))
    assert not torch.equal(samples, trained.decode(z, "zero"))
    own = torch.ones(1, 16)
    torch.testing.assert_close(
        trained.decode(z, "sample", own), network.to_image(network.output(z, own.expand(6, -1)))
    )
    with pytest.raises(ValueError, match="mode must be one of"):
        trained.decode(z, "median")


def test_decoding_repeats_itself_and_survives_saving(trained, images, tmp_path):
    trained.save(tmp_path)
    loaded = NOTAE.load(tmp_path)
    z = trained.encode(images)
    for mode in ("mean", "sample", "zero"):
        torch.testing.assert_close(trained.decode(z, mode), trained.decode(z, mode), rtol=0, atol=0)
        torch.testing.assert_close(loaded.decode(z, mode), trained.decode(z, mode))
    # How many images are decoded at once does not matter.
    torch.testing.assert_close(trained.decode(z[:2], "sample"), trained.decode(z, "sample")[:2])


def test_one_z_is_shared_along_a_path(trained, images):
    times = torch.linspace(0, 1, 4)
    trained.decode_mode = "sample"
    try:
        paths = trained.interpolate(images[:3], images[3:], times)
        averages = trained.barycenter(images[:2], torch.eye(2))
    finally:
        trained.decode_mode = "mean"
    z0, z1 = trained.encode(images[:3]), trained.encode(images[3:])
    bank = trained.network_.bank
    for i in range(3):
        codes = torch.stack([(1 - t) * z0[i] + t * z1[i] for t in times])
        torch.testing.assert_close(paths[i], trained.decode(codes, "sample", bank[i : i + 1]))
    both = trained.encode(images[:2])
    torch.testing.assert_close(averages, trained.decode(both, "sample", bank[:1]))


def test_samples_come_from_the_generator_and_spread_about_the_mean(trained, images):
    z = trained.encode(images)

    def drawn(seed):
        return trained.decode_samples(z, 5, torch.Generator().manual_seed(seed))

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert first.shape == (6, 5, 1, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.var(1).mean()) > 0
    assert NOTAE().decode_samples(z, 5, torch.Generator()) is None


def test_a_strong_map_has_no_noise(blobs, images):
    method = NOTAE()
    method.fit(blobs, context(1))
    assert method.draw_noise(3, 2, torch.Generator()) is None
    assert "bank" not in method.network_.state_dict()
    z = method.encode(images)
    for mode in ("mean", "sample", "zero"):
        assert torch.equal(method.decode(z, mode), method.decode(z))


def test_the_random_decoder_passes_the_checks_of_every_method():
    (spec,) = parse_one("not-ae[gamma=0.5,noise_count=2,decode_mode=sample]")
    results = list(check_method(Registry("methods").get("not-ae"), spec))
    assert [result for result in results if result.problem] == []
    assert len(results) == 10
