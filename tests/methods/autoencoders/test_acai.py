"""ACAI: the shared pass against the two losses taken apart."""

import pytest
import torch

from otbench.interface import Budget, FitContext
from otbench.nn.backbone import initialise
from otbench.nn.scorer import ScoredBackbone
from otbench_methods.autoencoders.acai import ACAI, SharedPass, mixing_coefficients


def network(likelihood: str) -> ScoredBackbone:
    built = ScoredBackbone((1, 32, 32), likelihood)
    initialise(built, torch.Generator().manual_seed(0))
    return built.double()


def naive_gradients(net, x, alpha, weight, gamma):
    """Take each loss of the paper by itself, with no pass shared and no gradient cut."""
    z = net.encode(x)
    recon = net.output(z)
    mix = alpha[:, None] * z + (1 - alpha[:, None]) * torch.flip(z, [0])
    x_mix, x_hat = net.signed(net.output(mix)), net.signed(recon)
    d_mix = net.score(x_mix)
    d_blend = net.score(gamma * (2 * x - 1) + (1 - gamma) * x_hat)
    loss_ae = net.reconstruction_loss(recon, x) + weight * (d_mix**2).mean()
    loss_critic = ((d_mix - alpha) ** 2).mean() + (d_blend**2).mean()
    ae = torch.autograd.grad(loss_ae, list(net.autoencoder_parameters()), retain_graph=True)
    return ae, torch.autograd.grad(loss_critic, list(net.scorer.parameters()))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_gradients_are_those_of_the_separate_losses(likelihood):
    net = network(likelihood)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(6, 1, 32, 32, generator=generator, dtype=torch.double)
    alpha = mixing_coefficients(6, generator, torch.device("cpu")).double()
    for weight in (0.5, 512.0):
        expected_ae, expected_critic = naive_gradients(net, x, alpha, weight, 0.2)
        net.zero_grad()
        shared = SharedPass(net, x, alpha, weight, 0.2)
        shared.critic_loss.backward()
        assert all(p.grad is None for p in net.autoencoder_parameters())
        critic = [p.grad.clone() for p in net.scorer.parameters()]
        shared.autoencoder_loss().backward()
        for ours, theirs in zip(net.autoencoder_parameters(), expected_ae, strict=True):
            torch.testing.assert_close(ours.grad, theirs, rtol=1e-8, atol=1e-10)
        for ours, theirs in zip(critic, expected_critic, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)
        for after, before in zip(net.scorer.parameters(), critic, strict=True):
            assert torch.equal(after.grad, before)


def test_gradients_hold_where_the_critic_is_exactly_right():
    net = network("gaussian")
    x = torch.rand(4, 1, 32, 32, dtype=torch.double)
    alpha = torch.full((4,), 0.3, dtype=torch.double)
    with torch.no_grad():
        z = net.encode(x)
        mixed = net.output(0.3 * z + 0.7 * z.flip(0))
        alpha[1] = net.score(mixed)[1]
        # Mixed with another share the image is another one: settle on the fixed point.
        for _ in range(60):
            share = alpha[:, None]
            mixed = net.output(share * z + (1 - share) * z.flip(0))
            alpha[1] = net.score(mixed)[1]
    expected, _ = naive_gradients(net, x, alpha, 0.5, 0.2)
    shared = SharedPass(net, x, alpha, 0.5, 0.2)
    shared.critic_loss.backward()
    shared.autoencoder_loss().backward()
    for ours, theirs in zip(net.autoencoder_parameters(), expected, strict=True):
        torch.testing.assert_close(ours.grad, theirs, rtol=1e-3, atol=1e-8)


def test_the_order_of_the_two_losses_is_enforced():
    net = network("gaussian")
    x, alpha = torch.rand(2, 1, 32, 32).double(), torch.tensor([0.1, 0.4]).double()
    with pytest.raises(RuntimeError, match="propagate critic_loss"):
        SharedPass(net, x, alpha, 0.5, 0.2).autoencoder_loss()


def test_mixing_coefficients_are_uniform_up_to_a_half():
    alpha = mixing_coefficients(20_000, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert 0 <= alpha.min() < 0.001
    assert 0.499 < alpha.max() <= 0.5
    assert alpha.mean().item() == pytest.approx(0.25, abs=0.005)
    assert alpha.var().item() == pytest.approx(0.25 / 12, rel=0.03)


def test_both_networks_train_and_the_critic_beats_a_constant(blobs):
    method = ACAI(lr=1e-3, schedule="constant")
    method.fit(blobs, FitContext(Budget(0)))
    start = {name: p.clone() for name, p in method.network_.named_parameters()}
    seen = {}
    ctx = FitContext(Budget(40, batch_size=16), on_progress=lambda s, n, t, v: seen.update(v))
    method.fit(blobs, ctx)
    for name, p in method.network_.named_parameters():
        assert not torch.equal(p, start[name]), name
    # Always answering 0 costs E alpha^2 = 1/12; the critic must do better.
    assert seen["critic"] < 1 / 12
