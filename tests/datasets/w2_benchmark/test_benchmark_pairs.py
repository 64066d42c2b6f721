"""Benchmark pairs: the mixture's moments, checkpoints read as torch evaluates them, true maps."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from otbench.ot.w2.icnn import GaussianStart
from otbench.ot.w2.scores import total_variance, uvp
from otbench_datasets.w2_benchmark.benchmark_pairs import (
    NOISE,
    checkpoint_pair,
    random_pair,
    release_mixture,
)
from otbench_datasets.w2_benchmark.dense_icnn import read_checkpoint

pytestmark = pytest.mark.usefixtures("strict_dtypes")

WIDTHS = (6, 5, 4)


def state(dimension, seed, widths=WIDTHS):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    tensors = {"final_layer.weight": draw(1, widths[-1]).abs()}
    for k, width in enumerate(widths):
        tensors[f"quadratic_layers.{k}.quadratic_decomposed"] = 0.3 * draw(dimension, 1, width)
        tensors[f"quadratic_layers.{k}.weight"] = draw(width, dimension)
        tensors[f"quadratic_layers.{k}.bias"] = draw(width)
        if k:
            tensors[f"convex_layers.{k - 1}.weight"] = 0.2 * draw(width, widths[k - 1]).abs()
    return tensors


def in_torch(tensors, x):
    """The network as reference section 1.2 states it, with torch's CELU."""
    q = [
        torch.einsum("md,drh->mrh", x, tensors[f"quadratic_layers.{k}.quadratic_decomposed"])
        .square()
        .sum(1)
        + torch.nn.functional.linear(
            x, tensors[f"quadratic_layers.{k}.weight"], tensors[f"quadratic_layers.{k}.bias"]
        )
        for k in range(3)
    ]
    z = torch.celu(q[0] @ tensors["convex_layers.0.weight"].T + q[1])
    z = torch.celu(z @ tensors["convex_layers.1.weight"].T + q[2])
    return z @ tensors["final_layer.weight"][0] + 0.005 * x.square().sum(1)


@pytest.fixture
def folder(tmp_path):
    for k in (1, 2):
        torch.save(state(3, k), tmp_path / f"3_v{k}.pt")
    return tmp_path


@pytest.mark.parametrize("dimension", [2, 5, 16])
def test_the_mixture_has_mean_zero_and_variance_one_a_coordinate(dimension):
    mixture = release_mixture(dimension)
    centers, maps = (np.asarray(a, np.float64) for a in mixture)
    np.testing.assert_allclose(centers.mean(axis=0), 0, atol=1e-6)
    variance = (centers**2).sum(axis=1).mean() + NOISE**2 * (maps**2).sum(axis=(1, 2)).mean()
    assert variance == pytest.approx(dimension, rel=1e-5)
    levels = np.unique(np.round(centers / centers.max(), 5))
    np.testing.assert_allclose(levels, [-1, 0, 1])


def test_samples_have_the_mixture_s_covariance():
    mixture = release_mixture(3)
    x = np.asarray(jax.jit(partial(mixture.sample, count=60_000))(jax.random.key(0)))
    centers, maps = (np.asarray(a, np.float64) for a in mixture)
    covariance = np.mean(
        [NOISE**2 * m @ m.T + np.outer(c, c) for c, m in zip(centers, maps, strict=True)], axis=0
    )
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.03)


def test_checkpoint_and_standardisation_agree_with_torch(folder):
    pair = checkpoint_pair(folder, 3)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(5), requires_grad=True)
    raw = in_torch(state(3, 1), x) + in_torch(state(3, 2), x)
    np.testing.assert_allclose(pair.raw(jnp.asarray(x.detach().numpy())), raw.detach(), rtol=1e-4)
    (gradient,) = torch.autograd.grad(raw.sum(), x)
    expected = pair.scale * (gradient.numpy() - np.asarray(pair.mean))
    moved = jax.jit(pair.push)(jnp.asarray(x.detach().numpy()))
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-4)


def test_the_target_has_mean_zero_and_variance_one_a_coordinate(folder):
    pair = checkpoint_pair(folder, 3)
    y = np.asarray(jax.jit(partial(pair.sample_target, count=50_000))(jax.random.key(9)))
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=0.03)
    assert total_variance(y) == pytest.approx(3, rel=0.03)


def damaged(tmp_path, change, dimension=3):
    tensors = state(3, 1)
    change(tensors)
    file = tmp_path / "3_v1.pt"
    torch.save(tensors, file)
    return read_checkpoint(file, dimension)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["final_layer.weight"].neg_(), "negative weights"),
        (lambda s: s["quadratic_layers.0.bias"].fill_(float("nan")), "not finite"),
        (lambda s: s.pop("convex_layers.0.weight"), "is not a DenseICNN"),
        (lambda s: s.clear(), "is not a DenseICNN"),
    ],
)
def test_damaged_checkpoints_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        damaged(tmp_path, change)


def test_other_files_are_refused(tmp_path, folder):
    with pytest.raises(ValueError, match=r"in 4 dimensions it should have \(4, 1, 6\)"):
        read_checkpoint(folder / "3_v1.pt", 4)
    with pytest.raises(ValueError, match=r"lacks 4_v1.pt and 4_v2.pt"):
        checkpoint_pair(folder, 4)
    garbage = tmp_path / "garbage.pt"
    garbage.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="not a checkpoint of tensors"):
        read_checkpoint(garbage, 3)


def test_the_digest_is_checked_before_anything_is_read(folder):
    seen = []

    def check(file, digest):
        seen.append((file.name, len(digest)))
        raise ValueError("wrong digest")

    with pytest.raises(ValueError, match="wrong digest"):
        checkpoint_pair(folder, 3, check)
    assert seen == [("3_v1.pt", 64)]


@pytest.fixture(scope="module")
def pair():
    return random_pair(4, seed=1)


def test_the_random_pair_s_map_is_the_gradient_of_a_convex_potential(pair):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(200, 4)), jnp.float32)
    moved = jax.jit(pair.push)(x)
    slopes = jnp.stack(
        [(pair.potential(x + s) - pair.potential(x - s)) / 0.02 for s in 0.01 * jnp.eye(4)], 1
    )
    np.testing.assert_allclose(moved, slopes, atol=5e-3)
    rises = jnp.sum((moved[:100] - moved[100:]) * (x[:100] - x[100:]), axis=1)
    assert float(rises.min()) > 0


def test_the_random_pair_is_no_linear_problem(pair):
    first, second = jax.random.split(jax.random.key(0))
    draw = jax.jit(partial(pair.sample_source, count=20_000))
    x = draw(first)
    y = jax.jit(pair.push)(x)
    fit = GaussianStart.of(draw(second), jax.jit(pair.push)(draw(second)))
    assert 3 < uvp(np.asarray(x) @ fit.matrix.T + fit.shift, y) < 90
    assert total_variance(y) == pytest.approx(4, rel=0.03)


def test_the_random_pair_follows_its_seed(pair):
    again, other = random_pair(4, seed=1), random_pair(4, seed=2)
    x = jnp.ones((3, 4))
    np.testing.assert_array_equal(pair.push(x), again.push(x))
    assert float(jnp.abs(pair.push(x) - other.push(x)).max()) > 0.01
    with pytest.raises(ValueError, match="at least 1"):
        random_pair(0)
