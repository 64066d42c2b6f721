"""The matched backbone against ACAI's published sizes and the unfolded, plain computation."""

import pytest
import torch
from torch.nn import functional

from otbench.nn.backbone import SLOPE, Backbone, Decoder, Encoder, initialise
from otbench.nn.scorer import ScoredBackbone


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    """Start a module in double precision, biases included."""
    generator = torch.Generator().manual_seed(1)
    initialise(module, generator)
    module.double()
    for p in module.parameters():
        p.data += 0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return module


def test_sizes_are_those_of_the_acai_release():
    assert count(Encoder(1)) == 166_288
    assert count(Decoder(1)) == 83_329
    assert count(Encoder(1, latent=2)) == 150_146
    assert count(Decoder(1, latent=2)) == 75_265


@pytest.mark.parametrize("channels", [1, 3])
def test_the_folded_stem_is_the_same_function_with_the_same_gradients(channels):
    encoder = perturbed(Encoder(channels))
    x = torch.rand(3, channels, 16, 24, dtype=torch.double, requires_grad=True)
    plain = torch.nn.Sequential(*encoder)
    results = []
    for network in (encoder, plain):
        y = network(x)
        results.append([y, *torch.autograd.grad((y**3).mean(), [x, *encoder.parameters()])])
    for folded, unfolded in zip(*results, strict=True):
        torch.testing.assert_close(folded, unfolded, rtol=1e-9, atol=1e-12)


def test_a_wide_stem_is_not_folded():
    encoder = perturbed(Encoder(1, stem=3, widening=2))
    x = torch.rand(2, 1, 32, 32, dtype=torch.double)
    torch.testing.assert_close(encoder(x), torch.nn.Sequential(*encoder)(x))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 16, 24)])
def test_shapes_and_ranges(likelihood, shape):
    backbone = Backbone(shape, likelihood)
    initialise(backbone, torch.Generator().manual_seed(0))
    x = torch.rand(4, *shape)
    z = backbone.encode(x)
    assert z.shape == (4, 16 * shape[1] * shape[2] // 64) == (4, backbone.code_dimension)
    image = backbone.decode(5 * z)
    assert image.shape == x.shape
    assert image.min() >= 0
    assert image.max() <= 1


def test_losses_are_those_of_their_distributions():
    x, output = torch.rand(5, 1, 8, 8), torch.randn(5, 1, 8, 8)
    bernoulli = Backbone((1, 8, 8)).reconstruction_loss(output, x)
    law = torch.distributions.Bernoulli(logits=output, validate_args=False)
    expected = -law.log_prob(x).flatten(1).sum(1).mean()
    torch.testing.assert_close(bernoulli, expected)
    gaussian = Backbone((1, 8, 8), "gaussian").reconstruction_loss(output, x)
    torch.testing.assert_close(gaussian, ((output - (2 * x - 1)) ** 2).mean())


def test_bad_shapes_and_likelihoods_are_refused():
    with pytest.raises(ValueError, match="multiples of 8, got 28x28"):
        Backbone((1, 28, 28))
    with pytest.raises(ValueError, match="bernoulli or gaussian"):
        Backbone((1, 32, 32), "poisson")


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_start_keeps_the_variance_of_activations(gain):
    layer = torch.nn.Conv2d(64, 256, 3, padding=1)
    initialise(layer, torch.Generator().manual_seed(0), gain)
    assert layer.weight.var().item() == pytest.approx(gain / ((1 + SLOPE**2) * 576), rel=0.02)
    assert not layer.bias.any()
    if gain == 2.0:
        x = torch.randn(8, 64, 16, 16)
        inner = layer(functional.leaky_relu(x, SLOPE))[:, :, 1:-1, 1:-1]
        # E leaky(x)^2 = (1 + SLOPE^2) / 2 for a standard normal x
        assert inner.var().item() == pytest.approx(1.0, rel=0.05)


def test_scores_are_means_of_the_final_map_and_belong_to_one_image():
    backbone = ScoredBackbone((1, 32, 32))
    initialise(backbone, torch.Generator().manual_seed(0))
    y = 2 * torch.rand(6, 1, 32, 32) - 1
    scores = backbone.score(y)
    expected = torch.nn.Sequential(*backbone.scorer)(y).flatten(1).mean(1)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(backbone.score(y[2:3]), scores[2:3])
    own = {id(p) for p in backbone.autoencoder_parameters()}
    assert own.isdisjoint(id(p) for p in backbone.scorer.parameters())
    assert len(own) + len(list(backbone.scorer.parameters())) == len(list(backbone.parameters()))


def test_signed_output_agrees_with_the_image():
    output = torch.randn(2, 1, 32, 32)
    for likelihood in ("bernoulli", "gaussian"):
        backbone = ScoredBackbone((1, 32, 32), likelihood)
        image = (backbone.signed(output) + 1) / 2
        torch.testing.assert_close(image.clamp(0, 1), backbone.to_image(output))
