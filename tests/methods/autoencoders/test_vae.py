"""The variational autoencoder against torch.distributions."""

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from otbench.interface import Budget, FitContext
from otbench_methods.autoencoders.vae import (
    LOG_VARIANCE_BOUND,
    VAE,
    VariationalBackbone,
    kl_to_standard_normal,
)


@pytest.fixture(scope="module")
def trained(blobs):
    method = VAE()
    method.fit(blobs, FitContext(Budget(20, batch_size=16)))
    return method


def test_kl_is_the_closed_form_of_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(7, 5, generator=generator)
    log_variance = torch.randn(7, 5, generator=generator)
    law, prior = Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(5), torch.ones(5))
    expected = kl_divergence(law, prior).sum(1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_kl_is_the_mean_log_ratio_of_draws():
    mean, log_variance = torch.tensor([[1.0, -0.5]]), torch.tensor([[-1.0, 0.5]])
    generator = torch.Generator().manual_seed(0)
    std = (log_variance / 2).exp()
    z = mean + std * torch.randn(200_000, 2, generator=generator)
    ratio = Normal(mean, std).log_prob(z).sum(1) - Normal(0.0, 1.0).log_prob(z).sum(1)
    error = 4 * ratio.std().item() / 200_000**0.5
    expected = kl_to_standard_normal(mean, log_variance).item()
    assert ratio.mean().item() == pytest.approx(expected, abs=error)


def test_likelihoods_are_those_of_their_laws_but_for_the_constant():
    x, output = torch.rand(4, 1, 32, 32), torch.randn(4, 1, 32, 32)
    bernoulli = VariationalBackbone((1, 32, 32)).negative_log_likelihood(output, x)
    law = Bernoulli(logits=output, validate_args=False)
    torch.testing.assert_close(bernoulli, -law.log_prob(x).flatten(1).sum(1).mean())
    gaussian = VariationalBackbone((1, 32, 32), "gaussian").negative_log_likelihood(output, x)
    log_density = Normal(output, 1.0).log_prob(2 * x - 1).flatten(1).sum(1).mean()
    constant = 1024 * Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
    torch.testing.assert_close(gaussian, constant - log_density)


def test_code_is_the_posterior_mean(trained, blobs):
    x = blobs.test.images[:5]
    mean, log_variance = trained.network_.posterior(x)
    assert torch.equal(trained.encode(x), mean)
    assert torch.equal(trained.encode(x), trained.encode(x))
    assert log_variance.shape == mean.shape == (5, 256)


def test_log_variance_stays_within_its_bound(blobs):
    network = VariationalBackbone((1, 32, 32))
    torch.nn.init.constant_(network.log_variance_head.bias, 1e4)
    log_variance = network.posterior(blobs.test.images[:2])[1]
    assert log_variance.max() <= LOG_VARIANCE_BOUND
    assert kl_to_standard_normal(torch.zeros_like(log_variance), log_variance).isfinite().all()


def test_larger_beta_brings_the_posterior_nearer_to_the_prior(blobs):
    kl = {}
    for beta in (0.0, 20.0):
        method = VAE(beta=beta)
        method.fit(blobs, FitContext(Budget(20, batch_size=16)))
        kl[beta] = kl_to_standard_normal(*method.network_.posterior(blobs.test.images)).mean()
    assert kl[20.0] < kl[0.0] / 5


def test_samples_follow_their_generator(trained):
    first, again = (trained.sample(3, torch.Generator().manual_seed(5)) for _ in range(2))
    other = trained.sample(3, torch.Generator().manual_seed(6))
    assert first.shape == (3, 1, 32, 32)
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_samples_are_decoded_draws_of_a_standard_normal(trained):
    trained_decode, codes = trained.decode, []
    trained.decode = lambda z: codes.append(z) or trained_decode(z)
    try:
        trained.sample(400, torch.Generator().manual_seed(0))
    finally:
        del trained.decode
    z = codes[0]
    assert z.shape == (400, 256)
    assert z.mean().item() == pytest.approx(0, abs=0.02)
    assert z.var().item() == pytest.approx(1, abs=0.02)
