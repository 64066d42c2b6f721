"""The benchmark's checkpoints as assets, and the moments that are frozen for them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from otbench.assets import catalogue
from otbench.assets.files import File
from otbench.errors import DataError
from otbench.interface.training import Budget, FitContext
from otbench.ot.gradients import gradient_of
from otbench.ot.w2.scores import uvp
from otbench_datasets.w2_benchmark import benchmark_pairs, w2_hd
from otbench_datasets.w2_benchmark.benchmark_pairs import Moments, checkpoint_pair, release_mixture
from otbench_datasets.w2_benchmark.w2_hd import W2HD, frozen_moments
from otbench_methods.sampled_maps.linear import Linear

pytestmark = pytest.mark.usefixtures("compile_quickly")

FROZEN = (2, 4, 16, 64)
CHECKPOINTS = os.environ.get("OTBENCH_W2_HD", "")
"""A folder with the release's checkpoints; tests on the real files are skipped without it."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OTBENCH_OFFLINE", "1")
    monkeypatch.delenv("OTBENCH_DATA_DIR", raising=False)
    monkeypatch.setattr(benchmark_pairs, "MOMENT_SAMPLES", 2**14)
    return tmp_path / "home"


def write(folder: Path, dimension: int) -> dict[str, File]:
    """Write two small potentials of the right shapes; return what the catalogue would say."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for k in (1, 2):
        generator = torch.Generator().manual_seed(k)
        state = {"final_layer.weight": torch.rand(1, 4, generator=generator)}
        for layer, width in enumerate((6, 4)):
            part = f"quadratic_layers.{layer}."
            shape = (dimension, 1, width)
            state[part + "quadratic_decomposed"] = 0.3 * torch.randn(*shape, generator=generator)
            state[part + "weight"] = torch.randn(width, dimension, generator=generator)
            state[part + "bias"] = torch.randn(width, generator=generator)
        state["convex_layers.0.weight"] = torch.rand(4, 6, generator=generator)
        file = folder / f"{dimension}_v{k}.pt"
        torch.save(state, file)
        content = file.read_bytes()
        files[file.name] = File(file.name, hashlib.sha256(content).hexdigest(), len(content))
    return files


@pytest.mark.parametrize("dimension", FROZEN)
def test_frozen_moments_are_those_of_a_standardised_map(dimension: int) -> None:
    moments = frozen_moments(dimension)
    assert moments.mean.shape == (dimension,)
    assert moments.mean.dtype == jnp.float32
    # The potentials were trained from N(0, I)-like to N(0, I)-like laws; two are summed.
    assert np.abs(np.asarray(moments.mean)).max() < 0.1
    assert 0.4 < moments.scale < 0.8
    assert f"w2-hd-{dimension}" in catalogue.CATALOGUE


def test_measured_moments_standardise_the_target(tmp_path: Path) -> None:
    write(tmp_path, 3)
    pair = checkpoint_pair(tmp_path, 3)
    x = release_mixture(3).sample(benchmark_pairs.jax.random.key(7), 2**14)
    y = np.asarray(pair.push(x), np.float64)
    assert np.abs(y.mean(0)).max() < 0.05
    assert y.var(0).mean() == pytest.approx(1, rel=0.05)
    given = Moments(jnp.asarray([1.0, 0.0, -1.0]), 2.0)
    moved = np.asarray(checkpoint_pair(tmp_path, 3, moments=given).push(x))
    raw = np.asarray(gradient_of(pair.raw)(x))
    np.testing.assert_allclose(moved, 2 * (raw - np.array([1.0, 0.0, -1.0])), atol=1e-4)


def test_known_files_take_the_frozen_moments_and_come_from_the_asset(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(own_home / "manual" / "w2-hd", 4)
    asset = catalogue._asset("w2-hd-4", "toy", files.values(), (), catalogue.CHECKPOINT_FOLDERS)
    monkeypatch.setitem(catalogue.CATALOGUE, "w2-hd-4", asset)
    monkeypatch.setattr(Moments, "measured", lambda *_: pytest.fail("measured anew"))
    pair = W2HD(4).load()
    frozen = frozen_moments(4)
    assert pair._pair.scale == frozen.scale
    assert np.array_equal(pair._pair.mean, frozen.mean)
    assert pair.sha256 == W2HD(4, str(own_home / "manual" / "w2-hd")).load().sha256
    assert (own_home / "assets" / "w2-hd-4" / "4_v1.pt").is_file()


def test_files_without_known_digests_are_read_from_the_users_folder(own_home: Path) -> None:
    with pytest.raises(DataError, match=r"8_v1.pt and 8_v2.pt are unknown.*w2-hd.*folder=PATH"):
        W2HD(8).load()
    write(own_home / "manual" / "w2-hd", 8)
    assert W2HD(8).load().sha256 == W2HD(8, str(own_home / "manual" / "w2-hd")).load().sha256


def test_what_is_to_be_had_nowhere_is_named_with_the_ways_out(own_home: Path) -> None:
    with pytest.raises(DataError) as error:
        W2HD(16).load()
    text = str(error.value)
    for part in (
        "16_v1.pt  sha256 d50a23710ca3b71a",
        "not tried, offline",
        str(own_home / "manual" / "w2-hd-16"),
        "w2-hd[dim=16,folder=PATH]",
    ):
        assert part in text


@pytest.mark.slow
@pytest.mark.skipif(not CHECKPOINTS, reason="OTBENCH_W2_HD names no folder of checkpoints")
@pytest.mark.parametrize(
    ("dimension", "linear", "half_w2"),
    [(2, 14.1, 0.326), (4, 14.9, 0.847), (16, 41.6, 7.113), (64, 63.9, 43.19)],
)
def test_the_release_scores_as_published(
    dimension: int, linear: float, half_w2: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Poster of Korotin et al. 2021, row [L], within 0.5; half the distance within 1 percent."""
    monkeypatch.setattr(benchmark_pairs, "MOMENT_SAMPLES", 2**18)
    pair = W2HD(dimension, CHECKPOINTS).load()
    measured = Moments.measured(pair._pair.source, pair._pair.raw)
    np.testing.assert_allclose(pair._pair.mean, measured.mean, atol=1e-4)
    assert pair._pair.scale == pytest.approx(measured.scale, rel=1e-5)
    x = pair.source(2**16, torch.Generator().manual_seed(1))
    y = pair.true_map(x)
    method = Linear()
    method.fit(pair, FitContext(Budget(1)))
    assert uvp(method.push(x).numpy(), y.numpy()) == pytest.approx(linear, abs=0.5)
    assert float((x - y).double().square().sum(1).mean()) / 2 == pytest.approx(half_w2, rel=0.01)


def test_the_release_is_named_once() -> None:
    assert w2_hd.RELEASE.endswith(catalogue.CHECKPOINT_FOLDERS[1])
