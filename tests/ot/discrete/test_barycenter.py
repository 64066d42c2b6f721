"""Barycentres and entropic plans against brute force, translations and exact plans."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

from otbench.ot.discrete.barycenter import convolutional, exact, image_barycenter
from otbench.ot.discrete.barycenter_lp import multi_marginal
from otbench.ot.discrete.displacement import displacement_path, exact_plan
from otbench.ot.discrete.entropic import NotConverged, entropic_plan


def blob(row: float, column: float, side: int = 24, size: float = 2.0) -> np.ndarray:
    axis = np.arange(side)
    image = np.exp(-((axis[:, None] - row) ** 2 + (axis - column) ** 2) / (2 * size**2))
    image[image < 0.1] = 0
    return image


def spread(image: np.ndarray) -> float:
    """Variance of an image about its centroid, in squared pixels."""
    grid = np.indices(image.shape)
    mean = (grid * image).sum((1, 2)) / image.sum()
    return float((((grid - mean[:, None, None]) ** 2).sum(0) * image).sum() / image.sum())


def measures(seed: int, sizes: tuple[int, ...]):
    generator = np.random.default_rng(seed)
    points = [5 * generator.random((n, 2)) for n in sizes]
    masses = [generator.random(n) for n in sizes]
    return points, [m / m.sum() for m in masses]


def brute_force(points, masses, weights) -> float:
    from scipy.optimize import linprog

    tuples = np.array(list(itertools.product(*(range(len(p)) for p in points))))
    chosen = np.stack([p[tuples[:, k]] for k, p in enumerate(points)], 1)
    costs = ((chosen - (weights @ chosen)[:, None]) ** 2).sum(2) @ weights
    rows = [tuples[:, k] == i for k, p in enumerate(points) for i in range(len(p))]
    return linprog(costs, A_eq=np.array(rows, float), b_eq=np.concatenate(masses)).fun


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [(6, 5), (4, 3, 5), (4, 3, 4, 3)])
def test_multi_marginal_is_the_brute_force_optimum(sizes, seed):
    points, masses = measures(seed, sizes)
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(sizes)))
    found = multi_marginal(points, masses, weights)
    assert found.cost == pytest.approx(brute_force(points, masses, weights), abs=2e-6)
    assert found.bound <= found.cost <= found.bound + 2e-6
    assert found.mass.sum() == pytest.approx(1)
    mean = weights @ [m @ p for p, m in zip(points, masses, strict=True)]
    np.testing.assert_allclose(found.mass @ found.points, mean)


def test_two_marginals_are_an_exact_plan():
    images = blob(7, 6), (blob(14, 16) + blob(5, 17)) / 2
    points = [np.argwhere(x > 0).astype(float) for x in images]
    masses = [x[x > 0] / x.sum() for x in images]
    found = multi_marginal(points, masses, np.array([0.75, 0.25]))
    assert found.cost == pytest.approx(0.75 * 0.25 * exact_plan(*images).cost, abs=2e-6)


def test_exact_barycenter_of_translates_is_a_translate():
    images = np.stack([blob(6, 6), blob(6, 16), blob(16, 6), blob(16, 16)])
    found = image_barycenter(images, np.array([0.16, 0.24, 0.24, 0.36]), exact)
    np.testing.assert_allclose(found, blob(12, 12), atol=1e-6)


def test_exact_barycenter_of_two_is_the_displacement():
    images = np.stack([blob(6, 6), 0.5 * blob(15, 13)])
    found = image_barycenter(images, np.array([0.7, 0.3]), exact)
    expected = displacement_path(*images, np.array([0.3]))[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("debiased", [False, True])
def test_convolutional_barycenter_of_translates(debiased):
    images = np.stack([blob(6, 6), blob(16, 16)])
    solve = partial(convolutional, reg=0.004, debiased=debiased)
    found = image_barycenter(images, np.array([0.5, 0.5]), solve)
    assert np.unravel_index(found.argmax(), found.shape) == (11, 11)
    assert found.sum() == pytest.approx(images[0].sum())


def test_one_image_is_nearly_its_own_barycenter_and_debiasing_sharpens():
    image = blob(11, 10)[None]
    plain, sharp = (
        image_barycenter(image, np.ones(1), partial(convolutional, reg=0.004, debiased=debiased))
        for debiased in (False, True)
    )
    assert np.abs(sharp - image[0]).sum() < 0.1 * image.sum()
    assert np.abs(plain - image[0]).sum() < 0.5 * image.sum()
    assert spread(image[0]) == pytest.approx(spread(sharp), rel=0.1)
    assert spread(plain) > 1.2 * spread(sharp)


def test_logarithms_give_what_kernels_do():
    from otbench.ot.discrete import barycenter

    images = [x / x.sum() for x in (blob(4, 4, 12, 1.5), blob(7, 8, 12, 1.5))]
    weights = np.array([0.3, 0.7])
    plain = convolutional(images, weights, reg=0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(barycenter, "DIRECT", 1.0)
        logarithmic = convolutional(images, weights, reg=0.01)
    np.testing.assert_allclose(logarithmic, plain, atol=1e-4)


def test_images_without_mass_or_weight_count_in_the_mass_alone():
    images = np.stack([blob(8, 8), np.zeros((24, 24)), blob(14, 14)])
    found = image_barycenter(images, np.array([0.25, 0.75, 0.0]), exact)
    np.testing.assert_allclose(found, 0.25 * blob(8, 8), atol=1e-9)
    assert not image_barycenter(images[1:2], np.ones(1), exact).any()


@pytest.mark.parametrize(
    ("images", "weights", "message"),
    [
        (np.ones((2, 3, 3)), np.ones(3) / 3, "m weights"),
        (-np.ones((2, 3, 3)), np.ones(2) / 2, "images hold negative"),
        (np.ones((2, 3, 3)), np.array([1.5, -0.5]), "weights hold negative"),
        (np.ones((2, 3, 3)), np.ones(2), "sum to 1, got 2"),
    ],
)
def test_bad_averages_are_named(images, weights, message):
    with pytest.raises(ValueError, match=message):
        image_barycenter(images, weights, exact)


IMAGES = blob(5, 5, 16, 1.5), 0.5 * blob(10, 9, 16, 1.5) + blob(4, 11, 16, 1.5)


def test_entropic_cost_tends_to_the_exact_one():
    exact_cost = exact_plan(*IMAGES).cost
    gaps = [entropic_plan(*IMAGES, epsilon=e).cost - exact_cost for e in (5.0, 1.0, 0.2)]
    assert gaps[0] > gaps[1] > gaps[2] > -1e-3
    assert gaps[2] < 0.005 * exact_cost


def test_entropic_plan_has_the_marginals_and_the_form():
    plan = entropic_plan(*IMAGES, epsilon=2.0)
    for places, image in zip((plan.start, plan.end), IMAGES, strict=True):
        found = np.zeros(image.shape)
        np.add.at(found, tuple(places.astype(int).T), plan.weight)
        np.testing.assert_allclose(found, image / image.sum(), atol=2e-6)
    # log P + |a - b|^2 / epsilon is a sum of two potentials: its mixed differences vanish.
    table = {
        (*a, *b): np.log(w) + ((a - b) ** 2).sum() / 2.0
        for a, b, w in zip(plan.start, plan.end, plan.weight, strict=True)
    }
    for a, c, b, d in itertools.product(*2 * [[(5, 5), (4, 6)]], *2 * [[(10, 9), (4, 11)]]):
        mixed = table[*a, *b] + table[*c, *d] - table[*a, *d] - table[*c, *b]
        assert mixed == pytest.approx(0, abs=1e-6)


def test_entropic_plan_leaves_jax_in_single_precision():
    import jax.numpy as jnp

    entropic_plan(*IMAGES)
    assert jnp.ones(1).dtype == jnp.float32


def test_bad_epsilon_is_named(monkeypatch):
    with pytest.raises(ValueError, match="epsilon must be positive"):
        entropic_plan(*IMAGES, epsilon=0.0)
    from otbench.ot.discrete import entropic

    monkeypatch.setattr(entropic, "ITERATIONS", 10)
    with pytest.raises(NotConverged, match="take a greater one"):
        entropic_plan(*IMAGES, epsilon=0.03)
