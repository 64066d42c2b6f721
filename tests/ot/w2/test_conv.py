"""The convolutional potential against torch's layers, and maps of images learned with it."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from otbench.conformance import TinyPair
from otbench.errors import UsageError
from otbench.interface import MeasurePair
from otbench.interface.training import Budget, FitContext
from otbench.ot.w2.conv import CHANNELS, conv, gradient_map
from otbench.ot.w2.losses import DualLoss
from otbench.ot.w2.network import check_parameters
from otbench.ot.w2.pretraining import pretrain
from otbench.ot.w2.scores import uvp
from otbench_methods.neural_maps.enot import ENOT
from otbench_methods.neural_maps.w2_amortized import W2Amortized

pytestmark = pytest.mark.usefixtures("strict_promotion")


def drawn(network, seed):
    """Parameters with biases and an alpha that are not zero, and points about [-1, 1]."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, network.dimension)))
    parameters = {
        name: np.float32(rng.normal(size=s.shape) / max(math.prod(s.shape[:3]), 9) ** 0.5)
        for name, s in shapes.items()
    }
    return parameters, np.float32(rng.uniform(-1, 1, (5, network.dimension)))


def evaluated(network, parameters, x):
    """Values and gradients, compiled together."""
    return jax.jit(lambda p, x: (network.apply(p, x), gradient_map(network).apply(p, x)))(
        parameters, x
    )


def in_torch(parameters, x, shape, layers):
    """The network of reference section 2.3, by torch's convolutions of padding 1 (even sides)."""
    weights = {name: torch.from_numpy(np.array(value)) for name, value in parameters.items()}
    units = x.reshape(-1, *shape)
    if shape[0] == 3:
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        units = (units * 0.5 + 0.5 - mean) / deviation
    for k in range(layers + 1):
        kernel, stride, padding = weights[f"kernel{k}"].permute(3, 2, 0, 1), 2, 1
        if k == layers:
            stride, padding = 1, 0
        units = functional.conv2d(units, kernel, weights[f"bias{k}"], stride, padding)
        units = functional.elu(units)
    return units.reshape(len(x)) + 0.5 * weights["log_alpha"].exp() * x.square().sum(1)


@pytest.mark.parametrize(("shape", "channels"), [((3, 16, 16), (6, 5, 4)), ((1, 8, 16), (4, 3))])
def test_value_and_gradient_are_torch_s(shape, channels):
    network = conv(shape, channels)
    parameters, points = drawn(network, 0)
    x = torch.from_numpy(points).requires_grad_()
    expected = in_torch(parameters, x, shape, len(channels))
    (slopes,) = torch.autograd.grad(expected.sum(), x)
    values, gradients = evaluated(network, parameters, points)
    np.testing.assert_allclose(values, expected.detach(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradients, slopes, rtol=1e-4, atol=1e-5)


def test_the_release_s_sizes():
    network = conv((3, 64, 64))
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 12_288)))
    ends = (3, *CHANNELS)
    layers = [torch.nn.Conv2d(*ends[k : k + 2], 4, device="meta") for k in range(5)]
    layers.append(torch.nn.Conv2d(1024, 1, 2, device="meta"))
    theirs = sum(p.numel() for layer in layers for p in layer.parameters())
    assert sum(math.prod(s.shape) for s in shapes.values()) == theirs + 1  # and alpha
    assert shapes["kernel0"].shape == (4, 4, 3, 128)
    assert shapes["kernel5"].shape == (2, 2, 1024, 1)


def test_kernels_start_with_variance_one_over_fan_in():
    parameters = conv((1, 32, 32), (16, 64, 64)).init(jax.random.key(1), jnp.zeros((1, 1024)))
    for name, fan_in in (("kernel1", 256), ("kernel2", 1024)):
        assert float(parameters[name].std()) == pytest.approx(fan_in**-0.5, rel=0.03)
    assert float(parameters["bias0"].max()) == 0


def test_a_last_kernel_of_zeros_is_the_identity_s_potential():
    network = conv((3, 7, 5), (4, 4, 4, 4), zero_start=True)
    _, x = drawn(network, 2)
    values, gradients = evaluated(network, network.init(jax.random.key(3), x), x)
    np.testing.assert_allclose(values, 0.5 * np.sum(x**2, 1), rtol=1e-6)
    np.testing.assert_allclose(gradients, x, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((0, 8, 8), (4,), "channels, height and width must be at least 1"),
        ((3, 8), (4,), "channels, height and width"),
        ((1, 8, 8), (), "at least one layer"),
        ((1, 8, 8), (4, 0), "at least one layer of at least one"),
    ],
)
def test_bad_sizes_are_refused(shape, channels, message):
    with pytest.raises(ValueError, match=message):
        conv(shape, channels)


def test_other_points_and_other_parameters_are_refused():
    network = conv((1, 8, 8), (4, 3))
    parameters, _ = drawn(network, 4)
    with pytest.raises(ValueError, match=r"points must have shape \(m, 64\), got \(2, 63\)"):
        network.apply(parameters, np.zeros((2, 63)))
    with pytest.raises(ValueError, match="kernel0 must have shape"):
        check_parameters(conv((2, 8, 8), (4, 3)), parameters)


def test_potential_and_amortizer_start_as_one_and_stay_so_while_they_learn_the_identity():
    network = conv((1, 4, 4), (8,))
    loss = DualLoss(network, gradient_map(network), "regression", shared_start=True)
    parameters = loss.init(jax.random.key(0), jnp.zeros((1, 16)))
    networks = (loss.potential, loss.amortizer)
    # optax multiplies floats by its own counter of steps
    with jax.numpy_dtype_promotion("standard"):
        reports = list(pretrain(loss, networks, parameters, jax.random.key(1), 300, 32, 1.0, 3e-3))
    potential, amortizer = reports[-1].parameters
    for name, value in potential.items():
        np.testing.assert_allclose(amortizer[name], value, atol=1e-5)
    assert reports[-1].parts["identity"] < 0.2 * reports[0].parts["identity"]


class Contrast(MeasurePair):
    """8x8 images of a blob in noise, and what x + tanh(2x + 1) makes of every pixel.

    The map is the gradient of |x|^2 / 2 + sum of log cosh(2x + 1) / 2 over the pixels, so optimal.
    """

    name, variant, sha256, dimension, image_shape = "contrast", "tiny", "0" * 64, 64, (1, 8, 8)

    def source(self, n, generator):
        centre = torch.rand(n, 2, 1, 1, generator=generator) * 6 + 1
        axis = torch.arange(8.0)
        square = (axis.view(1, 8, 1) - centre[:, 0]) ** 2 + (axis - centre[:, 1]) ** 2
        images = 2 * torch.exp(-square / 4) - 1
        return images.reshape(n, 64) + 0.1 * torch.randn(n, 64, generator=generator)

    def target(self, n, generator):
        return self.true_map(self.source(n, generator))

    def true_map(self, x):
        return x + torch.tanh(2 * x + 1)


PAIR = Contrast()
X = PAIR.source(512, torch.Generator().manual_seed(7))
Y = PAIR.true_map(X)
SMALL = {"potential": "conv", "hidden": (8,), "batch": 32}


def fitted(method, steps):
    method.fit(PAIR, FitContext(Budget(steps, 32), seed=0))
    return method


@pytest.fixture(scope="module")
def trained():
    return fitted(W2Amortized(**SMALL | {"hidden": (32,), "lr": 5e-3}), 200)


def test_a_few_updates_explain_most_of_a_change_of_contrast(trained):
    assert uvp(trained.push(X).numpy(), Y.numpy()) < 0.2 * uvp(X.numpy(), Y.numpy())


def test_maps_of_images_are_saved_and_loaded(trained, tmp_path):
    trained.save(tmp_path)
    loaded = W2Amortized.load(tmp_path)
    assert loaded.image_shape_ == (1, 8, 8)
    assert torch.equal(loaded.push(X[:40]), trained.push(X[:40]))


CYCLE = {"amortization": "cycle", "conjugate": "none", "cycle_weight": 10.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        W2Amortized(**SMALL | {"lr": 5e-3}, **CYCLE),
        W2Amortized(**SMALL | {"lr": 5e-3}, amortization="objective", pretraining=50, bound=1.0),
        W2Amortized(**SMALL | {"lr": 5e-3}, amortization="none"),
        ENOT(**SMALL | {"lr": 5e-3}),
    ],
    ids=["cycle", "objective, pretrained", "no amortizer", "enot"],
)
def test_every_form_learns_on_images_forth_and_back(method, tmp_path):
    fitted(method, 200).save(tmp_path)
    moved = method.push(X)
    assert uvp(moved.numpy(), Y.numpy()) < 0.5 * uvp(X.numpy(), Y.numpy())
    assert uvp(method.pull(Y).numpy(), X.numpy()) < 0.5 * uvp(Y.numpy(), X.numpy())
    assert torch.equal(type(method).load(tmp_path).push(X), moved)


@pytest.mark.parametrize("kind", [W2Amortized, ENOT])
def test_points_that_are_no_images_are_skipped_with_the_reason(kind):
    method = kind(potential="conv")
    assert method.skip(PAIR) is None
    assert "use quadratic, mlp or icnn" in method.skip(TinyPair())
    assert kind().skip(TinyPair()) is None
    with pytest.raises(UsageError, match="conv needs pairs of flattened images, but gaussians has"):
        method.fit(TinyPair(), FitContext(Budget(2, 16)))


def test_the_amortizer_has_the_potential_s_layers():
    with pytest.raises(UsageError, match="set hidden instead of amortizer_hidden"):
        W2Amortized(potential="conv", amortizer_hidden=(8,))
    with pytest.raises(UsageError, match="pretraining_lr must be above 0"):
        W2Amortized(potential="conv", pretraining_lr=0.0)


def test_the_paper_s_settings_follow_the_data():
    images = W2Amortized().paper_settings(PAIR)
    assert (images.steps, images.batch_size) == (50_001, 64)
    settings = W2Amortized(**images.parameters)
    assert (settings.potential, settings.lr, settings.bound) == ("conv", 1e-4, 1.0)
    assert (settings.pretraining, settings.pretraining_lr) == (10_001, 1e-4)
    assert settings.cycle_weight == 1e4
    points = W2Amortized().paper_settings(TinyPair())
    assert points is W2Amortized.card.paper
    assert points.parameters["potential"] == "mlp"
