"""Pairs of neural optimal transport: whitened targets, the line, Gaussians with common axes."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from otbench.errors import UsageError
from otbench.interface import MeasurePair
from otbench_datasets.point_pairs.mixture_1d import LineMixture, Mixture1D
from otbench_datasets.point_pairs.plane import Plane
from otbench_datasets.point_pairs.weak_gaussian import CommonAxes, WeakGaussian

pytestmark = pytest.mark.usefixtures("strict_dtypes")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["white-moons", "white-swiss", "white-eight"])
def test_whitened_targets_have_moments_0_and_i(name: str) -> None:
    pair = Plane(name).load()
    assert isinstance(pair, MeasurePair)
    samplers = pair.jax_samplers()
    assert samplers is not None
    drawn = [pair.target(60_000, seeded(0)).numpy(), samplers[1](jax.random.key(0), 60_000)]
    for points in drawn:
        np.testing.assert_allclose(np.asarray(points).mean(0), 0, atol=0.02)
        np.testing.assert_allclose(np.cov(np.asarray(points).T), np.eye(2), atol=0.02)
    other = Plane(name).load()
    assert torch.equal(other.target(5, seeded(1)), pair.target(5, seeded(1)))  # type: ignore[union-attr]


def test_the_eight_are_eight() -> None:
    points = Plane("white-eight").load().target(4000, seeded(0)).numpy()  # type: ignore[union-attr]
    angle = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 45
    # radius 12 and deviation 1: within 3 deviations of a multiple of 45 degrees, 14.5 degrees
    assert (np.minimum(angle, 45 - angle) < 14.5).mean() > 0.99
    counts = np.bincount(
        np.round(np.degrees(np.arctan2(points[:, 1], points[:, 0])) / 45).astype(int) % 8
    )
    assert (abs(counts - 500) < 5 * 500**0.5).all()


@pytest.mark.parametrize("components", [1, 2, 3])
def test_the_mixture_on_the_line(components: int) -> None:
    pair = Mixture1D(components).load()
    assert isinstance(pair, LineMixture)
    for points in (
        pair.target(60_000, seeded(0)).numpy(),
        np.asarray(pair.jax_samplers()[1](jax.random.key(0), 60_000)),
    ):
        assert points.shape == (60_000, 1)
        assert points.mean() == pytest.approx(0, abs=0.02)
        assert points.std() == pytest.approx(1, abs=0.02)
        counts = np.histogram(points, bins=np.linspace(-2, 2, components + 1))[0]
        if components > 1:
            assert (abs(counts / counts.sum() - 1 / components) < 0.02).all()


def test_the_map_on_the_line_matches_quantiles_and_its_distance() -> None:
    """SciPy's root finder and quadrature on the mixture's own distribution function."""
    pair = LineMixture(3)
    scale = (1 + 81 * 2 / 3) ** 0.5
    means = np.array([-9.0, 0.0, 9.0])

    def quantile(level: float) -> float:
        return brentq(lambda y: norm.cdf(y * scale - means).mean() - level, -3, 3)

    x = torch.tensor([[-2.5], [-0.6], [-0.4], [0.0], [0.9], [2.2]])
    wanted = [quantile(float(norm.cdf(v))) for v in x.double().squeeze(1)]
    np.testing.assert_allclose(pair.true_map(x).squeeze(1), wanted, atol=1e-5)
    far = pair.true_map(torch.tensor([[-9.0], [9.0]]))
    assert torch.isfinite(far).all()
    assert float(far[1]) == pytest.approx(-float(far[0]), rel=1e-5)
    squared, _ = quad(
        lambda v: (quantile(norm.cdf(v)) - v) ** 2 * norm.pdf(v),
        -6,
        6,
        limit=200,
        points=[-0.43, 0.43],
    )
    assert pair.squared_w2() == pytest.approx(squared, rel=1e-3)
    assert LineMixture(1).squared_w2() == pytest.approx(0, abs=1e-10)


def test_common_axes_make_the_closed_form_that_of_the_strong_map_at_gamma_0() -> None:
    pair = WeakGaussian(5, gamma=0.7, seed=3).load()
    assert isinstance(pair, CommonAxes)
    assert pair.gamma == 0.7
    x = pair.source(200, seeded(0))
    strong = pair.weak_answer(0.0)
    # the Bures map of the same laws, from their covariances
    np.testing.assert_allclose(strong.barycentric(x.numpy()), pair.true_map(x), atol=1e-4)
    assert 2 * strong.cost == pytest.approx(pair.squared_w2())
    assert strong.conditional_variance == 0
    spreads = [pair.weak_answer(g).conditional_variance for g in (0.2, 0.7, 1.0)]
    assert spreads == sorted(spreads)
    assert spreads[-1] > 0
    # what the barycentric map leaves of the target's variance is the conditional one
    points = pair.source(100_000, seeded(1))
    kept = pair.weak_answer(1.0).barycentric(points.numpy()).var(axis=0).sum()
    total = float(np.trace(pair.covariances[1]))
    assert kept + spreads[-1] == pytest.approx(total, rel=0.02)


def test_gamma_and_seed_make_other_pairs() -> None:
    made = [WeakGaussian(2, g, s).load().sha256 for g, s in ((1.0, 0), (0.5, 0), (1.0, 1))]
    assert len(set(made)) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeakGaussian(0), "dim must be from 1"),
        (lambda: WeakGaussian(gamma=-1.0), "gamma must be"),
        (lambda: Mixture1D(0), "components must be from 1 to 64"),
        (lambda: Plane("white-noise"), "white-moons"),
    ],
)
def test_bad_parameters_are_refused(make, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
