"""NOT-AE: the potential trains, T is left alone meanwhile, and divergence has a name."""

import itertools

import pytest
import torch

from otbench.errors import UsageError
from otbench.interface import Budget, Diverged, FitContext
from otbench.ot.neural.rules import LARGEST_LOSS
from otbench_methods.autoencoders.not_ae import NOTAE
from otbench_methods.autoencoders.not_ae_costs import transport_cost


def context(steps: int, **kwargs) -> FitContext:
    return FitContext(Budget(steps, batch_size=16), **kwargs)


def fitted(blobs, steps: int, **parameters) -> NOTAE:
    method = NOTAE(**parameters)
    method.fit(blobs, context(steps))
    return method


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def started(blobs) -> NOTAE:
    method = fitted(blobs, 0)
    method.network_.requires_grad_(True)
    return method


def test_costs_are_means_over_all_numbers_of_an_image():
    x, y = torch.randn(3, 2, 4, 4).double(), torch.randn(3, 2, 4, 4).double()
    flat_x, flat_y = x.reshape(3, 32).numpy(), y.reshape(3, 32).numpy()
    l2 = torch.from_numpy(((flat_x - flat_y) ** 2).sum(1) / 32)
    l1 = torch.from_numpy(abs(flat_x - flat_y).sum(1) / 32)
    torch.testing.assert_close(transport_cost(x, y, "l2"), l2)
    torch.testing.assert_close(transport_cost(x, y, "l1"), l1)


def test_the_potential_changes_after_one_outer_step(blobs):
    start = weights(fitted(blobs, 0).network_.scorer)
    before = weights(fitted(blobs, 2, inner_steps=3).network_.scorer)
    after = weights(fitted(blobs, 3, inner_steps=3).network_.scorer)
    assert all(torch.equal(a, b) for a, b in zip(start, before, strict=True))
    moved = [not torch.equal(a, b) for a, b in zip(start, after, strict=True)]
    # The last bias is a constant added to f: its gradient is 0 but for rounding.
    assert all(moved[:-1])


def test_a_frozen_potential_stays_at_its_start_but_acts(blobs):
    start = weights(fitted(blobs, 0).network_.scorer)
    frozen = fitted(blobs, 4, inner_steps=1, freeze_potential=True)
    trained = fitted(blobs, 4, inner_steps=1)
    assert all(
        torch.equal(a, b) for a, b in zip(start, weights(frozen.network_.scorer), strict=True)
    )
    x = blobs.test.images[:4]
    assert not torch.equal(frozen.encode(x), trained.encode(x))


def test_the_potential_step_leaves_the_map_alone_and_descends(blobs):
    method = started(blobs)
    before = weights(method.network_)[: len(list(method.network_.autoencoder_parameters()))]
    optimiser = method.potential_optimiser(context(40))
    source, target = (
        context(40).stream(blobs.train.images),
        context(40, seed=1).stream(blobs.train.images),
    )
    x, other = blobs.test.images[:64], blobs.test.images[64:]
    start = float(method.potential_loss(x, other).detach())
    for _ in range(4):
        method.potential_step(optimiser, source, target)
    after = weights(method.network_)[: len(before)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in method.network_.autoencoder_parameters())
    assert float(method.potential_loss(x, other).detach()) < start


def test_the_map_step_leaves_the_potential_without_gradient(blobs):
    method = started(blobs)
    method.network_.scorer.requires_grad_(False)
    loss, cost, _ = method.map_loss(blobs.test.images[:4])
    loss.backward()
    assert all(p.grad is None for p in method.network_.scorer.parameters())
    assert all(p.grad is not None for p in method.network_.autoencoder_parameters())
    x = blobs.test.images[:4]
    y = method.transport(x)
    expected = ((2 * x - 1 - y) ** 2).mean()
    torch.testing.assert_close(cost, expected)
    torch.testing.assert_close(loss, expected - method.network_.score(y).mean())


def test_a_constant_added_to_the_potential_changes_no_gradient(blobs):
    method = started(blobs)
    network = method.network_.double()
    x, other = blobs.test.images[:8].double(), blobs.test.images[8:16].double()
    score, gradients = network.score, []
    for shift in (0.0, 7.5):
        network.score = lambda y, shift=shift: score(y) + shift
        network.zero_grad()
        method.map_loss(x)[0].backward()
        maps = [p.grad.clone() for p in network.autoencoder_parameters()]
        network.zero_grad()
        method.potential_loss(x, other).backward()
        gradients.append(maps + [p.grad.clone() for p in network.scorer.parameters()])
    for plain, shifted in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, shifted, rtol=1e-8, atol=1e-12)


def test_the_two_laws_come_from_independent_batches(blobs):
    ctx = context(1)
    source = list(itertools.islice(ctx.stream(blobs.train.images), 4))
    target = list(itertools.islice(ctx.stream(blobs.train.images, axis="potential"), 4))
    assert not any(torch.equal(a, b) for a, b in zip(source, target, strict=True))
    seen = []
    method = NOTAE(inner_steps=1)
    loss = method.potential_loss
    method.potential_loss = lambda x, y, z: seen.append((x, y)) or loss(x, y, z)
    method.fit(blobs, context(1))
    ((x, independent),) = seen
    assert torch.equal(independent, target[0])
    assert torch.equal(x, source[1])


def test_a_potential_that_blows_up_is_reported(blobs):
    method = started(blobs)
    score = method.network_.score
    method.network_.score = lambda y: 1e6 * LARGEST_LOSS * score(y)
    stream = context(1).stream(blobs.train.images)
    with pytest.raises(Diverged, match="lower potential_lr"):
        method.potential_step(method.potential_optimiser(context(1)), stream, stream)


@pytest.mark.parametrize("squash", [True, False])
def test_the_map_is_bounded_only_when_squashed_but_images_always_are(blobs, squash):
    method = fitted(blobs, 1, squash=squash)
    method.network_.decoder[-1].weight.data *= 1e3
    x = blobs.test.images[:8]
    y = method.transport(x)
    assert bool((y.abs() <= 1.716).all()) is squash
    image = method.decode(method.encode(x))
    torch.testing.assert_close(image, ((y + 1) / 2).clamp(0, 1))


def test_the_squashing_sends_black_and_white_to_themselves(blobs):
    network = fitted(blobs, 0).network_
    last = network.decoder[-1]
    for value in (-1.0, 1.0):
        last.weight.data.zero_()
        last.bias.data.fill_(value)
        y = network.output(torch.zeros(1, 256))
        torch.testing.assert_close(y, torch.full_like(y, value), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cost": "l3"}, "cost must be one of l2, l1, perceptual"),
        ({"inner_steps": 0}, "inner_steps must be at least 1"),
        ({"latent": 0}, "latent must be at least 1"),
        ({"clip": -1.0}, "clip must be at least 0"),
        ({"potential": False, "freeze_potential": True}, "potential=false removes it"),
        ({"warmup": 1.5}, "warmup must be from 0 to 1"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(UsageError, match=message):
        NOTAE(**parameters)


@pytest.mark.parametrize("cost", ["l2", "l1"])
def test_without_potential_it_is_the_autoencoder_of_its_cost(blobs, cost):
    """The same start, batches and plain descent on the cost, written out."""
    method = fitted(blobs, 4, cost=cost, potential=False, schedule="constant", clip=0.0)
    ctx = context(4)
    plain = NOTAE(cost=cost)
    plain.network_ = plain.bare_network(blobs.image_shape)
    plain.place(plain.network_, ctx, "init")
    adam = torch.optim.Adam(plain.network_.autoencoder_parameters(), lr=plain.lr)
    for x, _ in zip(ctx.stream(blobs.train.images), range(4), strict=False):
        gap = plain.transport(x) - (2 * x - 1)
        adam.zero_grad()
        (gap.square() if cost == "l2" else gap.abs()).mean().backward()
        adam.step()
    x = blobs.test.images[:8]
    with torch.no_grad():
        wanted = plain.transport(x)
    torch.testing.assert_close(method.transport(x), wanted, atol=1e-3, rtol=0)
    start = weights(fitted(blobs, 0).network_.scorer)
    assert all(map(torch.equal, start, weights(method.network_.scorer)))


@pytest.mark.parametrize(("latent", "numbers"), [(4, 64), (16, 256)])
def test_the_code_of_the_slides_has_64_numbers(blobs, latent, numbers):
    method = fitted(blobs, 1, latent=latent)
    code = method.encode(blobs.test.images[:3])
    assert code.shape == (3, numbers)
    # The bottleneck is real: nothing else of the image reaches the decoder.
    assert method.decode(code).shape == (3, 1, 32, 32)
    assert method.network_.decoder[0].in_channels == latent


def test_gradients_are_clipped_to_the_norm_asked_for(blobs):
    """Adam forgets a gradient's size, so the first moment after one step tells it."""
    norms = []
    for clip in (0.0, 1e-3):
        method = NOTAE(clip=clip, potential=False, schedule="constant")
        seen = []
        optimiser = "otbench_methods.autoencoders.not_ae.Optimiser"
        with pytest.MonkeyPatch.context() as patch:
            real = method.potential_optimiser.__globals__["Optimiser"]

            def kept(*args, real=real, seen=seen, **kwargs):
                seen.append(real(*args, **kwargs))
                return seen[-1]

            patch.setattr(optimiser, kept)
            method.fit(blobs, context(1))
        moments = [state["exp_avg"] for state in seen[0].adam.state.values()]
        norms.append(float(sum(m.square().sum() for m in moments)) ** 0.5 / 0.1)
    assert norms[0] > 2e-3
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)
