"""Pairs of distributions: known maps, both kinds of samplers, digests, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from otbench.errors import DataError, UsageError
from otbench.interface import Dataset, MeasurePair
from otbench.plugins.parameters import instantiate
from otbench.plugins.registry import Registry
from otbench.plugins.selection import parse_one
from otbench_datasets.point_pairs.gaussian_pair import GaussianPair
from otbench_datasets.point_pairs.planar_laws import TASKS
from otbench_datasets.point_pairs.plane import Plane
from otbench_datasets.w2_benchmark import benchmark_pairs
from otbench_datasets.w2_benchmark.w2_hd import W2HD
from otbench_datasets.w2_benchmark.w2_icnn_pair import W2ICNNPair

pytestmark = pytest.mark.usefixtures("strict_dtypes")


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Compile without expensive optimisations, and standardise pairs by fewer points."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_pairs, "MOMENT_SAMPLES", 2**14)
        yield
    jax.config.update("jax_disable_most_optimizations", before)


def made(text: str) -> Dataset:
    (spec,) = parse_one(text)
    dataset: Dataset = instantiate(Registry("datasets").get(spec.name).load(), spec)
    return dataset


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moments(points: object) -> tuple[np.ndarray, np.ndarray]:
    x = np.asarray(points, np.float64)
    return x.mean(0), np.cov(x.T)


def checkpoint(file: Path, dimension: int, seed: int) -> None:
    """Write random weights of the right shapes, non-negative where the potential needs it."""
    generator = seeded(seed)
    widths = (6, 5, 4)
    state = {"final_layer.weight": torch.rand(1, widths[-1], generator=generator)}
    for k, width in enumerate(widths):
        part = f"quadratic_layers.{k}."
        state[part + "quadratic_decomposed"] = torch.randn(dimension, 1, width, generator=generator)
        state[part + "weight"] = torch.randn(width, dimension, generator=generator)
        state[part + "bias"] = torch.randn(width, generator=generator)
        if k:
            shape = (width, widths[k - 1])
            state[f"convex_layers.{k - 1}.weight"] = torch.rand(*shape, generator=generator)
    torch.save(state, file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for k in (1, 2):
        checkpoint(folder / f"8_v{k}.pt", 8, k)
    return folder


@pytest.fixture(scope="module")
def hd(folder: Path) -> MeasurePair:
    pair = W2HD(8, str(folder)).load()
    assert isinstance(pair, MeasurePair)
    return pair


@pytest.fixture(scope="module")
def random() -> MeasurePair:
    pair = W2ICNNPair(3, 1).load()
    assert isinstance(pair, MeasurePair)
    return pair


@pytest.fixture(scope="module")
def gaussian() -> MeasurePair:
    pair = GaussianPair(3, 2).load()
    assert isinstance(pair, MeasurePair)
    return pair


KNOWN = ["hd", "random", "gaussian"]


@pytest.mark.parametrize("name", KNOWN)
def test_the_true_map_carries_the_source_to_the_target(
    name: str, request: pytest.FixtureRequest
) -> None:
    pair: MeasurePair = request.getfixturevalue(name)
    n = 30_000
    moved = pair.true_map(pair.source(n, seeded(0)))
    assert moved is not None
    assert moved.dtype == torch.float32
    mean, covariance = moments(moved)
    wanted_mean, wanted_covariance = moments(pair.target(n, seeded(1)))
    spread = np.sqrt(np.diag(wanted_covariance))
    np.testing.assert_allclose(mean, wanted_mean, atol=0.04 * spread.max())
    np.testing.assert_allclose(covariance, wanted_covariance, atol=0.06 * spread.max() ** 2)


@pytest.mark.parametrize("name", KNOWN)
def test_the_true_map_is_monotone_and_pointwise(name: str, request: pytest.FixtureRequest) -> None:
    pair: MeasurePair = request.getfixturevalue(name)
    x = pair.source(400, seeded(3))
    moved, first = pair.true_map(x), pair.true_map(x[:7])
    assert moved is not None
    assert first is not None
    assert ((moved[:200] - moved[200:]) * (x[:200] - x[200:])).sum(1).min() > 0
    torch.testing.assert_close(moved[:7], first, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [*KNOWN, *TASKS])
def test_both_kinds_of_samplers_follow_one_law(name: str, request: pytest.FixtureRequest) -> None:
    pair = Plane(name).load() if name in TASKS else request.getfixturevalue(name)
    samplers = pair.jax_samplers()
    for side, sampler in zip((pair.source, pair.target), samplers, strict=True):
        points = side(20_000, seeded(4))
        assert points.shape == (20_000, pair.dimension)
        assert points.dtype == torch.float32
        drawn = jax.jit(sampler, static_argnums=1)(jax.random.key(5), 20_000)
        assert drawn.shape == points.shape
        assert drawn.dtype == np.float32
        mean, covariance = moments(points)
        other_mean, other_covariance = moments(drawn)
        largest = np.diag(covariance).max()
        np.testing.assert_allclose(mean, other_mean, atol=0.05 * largest**0.5)
        np.testing.assert_allclose(covariance, other_covariance, atol=0.08 * largest)
        # Fourth moments tell apart laws that share a covariance.
        ours, theirs = (np.mean(np.asarray(x, np.float64) ** 4, axis=0) for x in (points, drawn))
        np.testing.assert_allclose(ours, theirs, rtol=0.15)


@pytest.mark.parametrize(
    "text", ["w2-icnn-pair[dim=3,seed=1]", "gaussian", "plane:spirals", "plane:images"]
)
def test_samples_follow_the_generator(text: str) -> None:
    first, second = made(text).load(), made(text).load()
    assert isinstance(first, MeasurePair)
    assert isinstance(second, MeasurePair)
    assert first.sha256 == second.sha256
    for a, b in ((first.source, second.source), (first.target, second.target)):
        assert torch.equal(a(50, seeded(1)), b(50, seeded(1)))
        assert not torch.equal(a(50, seeded(1)), a(50, seeded(2)))
        generator = seeded(3)
        assert not torch.equal(a(50, generator), a(50, generator))


def test_what_defines_a_pair_is_in_its_digest() -> None:
    texts = ["gaussian[dim=2]", "gaussian[dim=3]", "gaussian[dim=2,seed=1]", "plane:moons"]
    texts += [f"plane:{name}" for name in TASKS if name != "moons"]
    digests = [made(text).load().sha256 for text in texts]
    assert len(set(digests)) == len(texts)
    assert {len(digest) for digest in digests} == {64}


def test_the_gaussian_distance_is_the_cost_of_its_map(gaussian: MeasurePair) -> None:
    x = gaussian.source(100_000, seeded(0))
    moved = gaussian.true_map(x)
    assert moved is not None
    cost = float((moved - x).double().square().sum(1).mean())
    assert gaussian.squared_w2() == pytest.approx(cost, rel=0.02)


def test_planar_laws_are_where_they_should_be() -> None:
    def draw(name: str, side: str) -> torch.Tensor:
        points: torch.Tensor = getattr(Plane(name).load(), side)(4000, seeded(6))
        return points

    assert (draw("circles", "source").norm(dim=1) - 1).abs().max() < 0.06
    assert (draw("circles", "target").norm(dim=1) - 0.5).abs().max() < 0.06
    eight = draw("eight", "target")
    angles = torch.arange(8) * torch.pi / 4
    centers = 5 * torch.stack([angles.cos(), angles.sin()], 1)
    distance, nearest = torch.cdist(eight, centers).min(1)
    assert nearest.bincount(minlength=8).min() > 400
    # Two coordinates of variance 1/16.
    assert float(distance.square().mean()) == pytest.approx(2 / 16, rel=0.1)
    board = draw("checkerboard", "target")
    assert board.abs().max() <= 4
    assert ((board / 2).floor().sum(1) % 2 == 0).all()
    radii = torch.tensor([0.75, 1.5, 2.25, 3.0])
    off = (draw("rings", "source").norm(dim=1, keepdim=True) - radii).abs().min(1).values
    assert float(off.square().mean().sqrt()) == pytest.approx(0.08, rel=0.1)


@pytest.mark.parametrize(("name", "upper"), [("target", True), ("source", False)])
def test_moons_are_scikit_learn_s(name: str, upper: bool) -> None:
    from sklearn.datasets import make_moons

    theirs, label = make_moons(20_000, noise=0.05, random_state=0)
    theirs = theirs[label == (0 if upper else 1)]
    ours = getattr(Plane("moon-to-moon").load(), name)(10_000, seeded(7))
    for a, b in zip(moments(ours), moments(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=0.02)


def test_rolls_and_curves_are_scikit_learn_s() -> None:
    from sklearn.datasets import make_s_curve, make_swiss_roll

    for name, make, scale in (("s-curve", make_s_curve, 5.0), ("swiss", make_swiss_roll, 0.5)):
        theirs = make(20_000, noise=0.0, random_state=0)[0][:, [2, 0]] * scale
        pair = Plane(name).load()
        assert isinstance(pair, MeasurePair)
        ours = pair.source(20_000, seeded(8))
        for a, b in zip(moments(ours), moments(theirs), strict=True):
            np.testing.assert_allclose(a, b, atol=0.03 * np.abs(theirs).max() ** a.ndim)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w2-icnn-pair[dim=0]", "dim must be from 1 to 1024, got 0"),
        ("w2-icnn-pair[seed=-1]", "seed must be from 0 to 2147483647, got -1"),
        ("gaussian[dim=1025]", "dim must be from 1 to 1024, got 1025"),
        ("gaussian[seed=-3]", "seed must be from 0"),
        ("w2-hd[dim=3]", "dim must be one of 2, 4, 8, 16, 32, 64, 128, 256, got 3"),
        ("w2-hd[dim=512]", "dim must be one of 2, 4, 8"),
        ("plane:moon", "got 'moon'; did you mean moons"),
        ("plane[images,first=a.png]", "give both files, first and second, or neither"),
        ("plane[moons,first=a.png,second=b.png]", "only for name=images, got name=moons"),
        ("plane[images,side=3]", "side must be from 4 to 512, got 3"),
    ],
)
def test_bad_parameters_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(text)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks 8_v1.pt and 8_v2.pt; put the released"):
        W2HD(8, str(tmp_path)).load()
    checkpoint(tmp_path / "8_v1.pt", 8, 0)
    with pytest.raises(DataError, match=r"lacks 8_v2.pt;"):
        W2HD(8, str(tmp_path)).load()


def test_a_broken_checkpoint_is_refused(tmp_path: Path, folder: Path) -> None:
    checkpoint(tmp_path / "8_v1.pt", 8, 0)
    (tmp_path / "8_v2.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match=r"8_v2\.pt is not a checkpoint of tensors"):
        W2HD(8, str(tmp_path)).load()
    checkpoint(tmp_path / "8_v2.pt", 4, 0)
    with pytest.raises(DataError, match="in 8 dimensions it should have"):
        W2HD(8, str(tmp_path)).load()
    for k in (1, 2):
        checkpoint(tmp_path / f"2_v{k}.pt", 2, k)
    with pytest.raises(DataError, match=r"2_v1\.pt is not the release's file: its sha256 is"):
        W2HD(2, str(tmp_path)).load()


def test_the_digest_follows_the_checkpoints(tmp_path: Path, hd: MeasurePair, folder: Path) -> None:
    assert W2HD(8, str(folder)).load().sha256 == hd.sha256
    checkpoint(tmp_path / "8_v1.pt", 8, 1)
    checkpoint(tmp_path / "8_v2.pt", 8, 3)
    assert W2HD(8, str(tmp_path)).load().sha256 != hd.sha256
