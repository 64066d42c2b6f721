"""Images as densities: where points fall and how many, own files, what is refused."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import torch

from otbench.errors import DataError
from otbench_datasets.point_pairs.planar_images import SCALE, disc_in_ring, flower, image_law
from otbench_datasets.point_pairs.plane import Plane

pytestmark = pytest.mark.usefixtures("strict_dtypes")


def counts(points: torch.Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Count points in each pixel of an image, the first row the upper one."""
    height = shape[0]
    pixel = SCALE / max(shape)
    column = np.floor(points[:, 0].numpy() / pixel).astype(int)
    row = height - 1 - np.floor(points[:, 1].numpy() / pixel).astype(int)
    table = np.zeros(shape)
    np.add.at(table, (row, column), 1)
    return table


def drawn(brightness: np.ndarray, n: int) -> torch.Tensor:
    u = np.random.default_rng(0).random((n, 3), np.float32)
    return torch.from_numpy(np.asarray(image_law(brightness)(np, u, None)))


def test_points_fall_in_proportion_to_brightness() -> None:
    brightness = np.array([[0.0, 1.0, 2.0], [4.0, 0.0, 1.0]])
    n = 40_000
    points = drawn(brightness, n)
    share = brightness / brightness.sum()
    deviation = np.sqrt(share * (1 - share) / n)
    assert (np.abs(counts(points, (2, 3)) / n - share) <= 4 * deviation).all()
    within = torch.remainder(points / (SCALE / 3), 1)
    np.testing.assert_allclose(within.mean(0), 0.5, atol=0.01)
    np.testing.assert_allclose(within.var(0), 1 / 12, atol=0.003)


def test_numbers_next_to_one_stay_within_the_image() -> None:
    brightness = np.full((5, 7), 1 / 3)
    brightness[-1, -2:] = 0
    largest = np.nextafter(np.float32(1), np.float32(0))
    u = np.array([[largest, 0.5, 0.5]], np.float32)
    for xp in (np, jnp):
        point = np.asarray(image_law(brightness)(xp, xp.asarray(u), None))
        assert counts(torch.from_numpy(point.copy()), (5, 7))[-1, 4] == 1


@pytest.mark.parametrize(("side", "image"), [("source", flower), ("target", disc_in_ring)])
def test_the_task_draws_the_two_images(side: str, image) -> None:
    pair = Plane("images").load()
    brightness = image()
    assert brightness.min() == 0
    assert 0.5 < brightness.max() <= 1
    points = getattr(pair, side)(50_000, torch.Generator().manual_seed(1))
    table = counts(points, brightness.shape)
    assert table[brightness == 0].sum() == 0
    coarse, wanted = (a.reshape(8, 8, 8, 8).sum((1, 3)) for a in (table, brightness))
    np.testing.assert_allclose(coarse / coarse.sum(), wanted / wanted.sum(), atol=0.004)
    sampler = pair.jax_samplers()[0 if side == "source" else 1]
    compiled = np.array(jax.jit(sampler, static_argnums=1)(jax.random.key(0), 50_000))
    other = counts(torch.from_numpy(compiled), brightness.shape)
    assert other[brightness == 0].sum() == 0
    np.testing.assert_allclose(
        other.reshape(8, 8, 8, 8).sum((1, 3)) / 50_000, wanted / wanted.sum(), atol=0.004
    )


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    left, upper = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)
    left[:, :4], upper[:4] = 200, 200
    for name, image in (("left.png", left), ("upper.png", upper)):
        PIL.Image.fromarray(image).save(tmp_path / name)
    return str(tmp_path / "left.png"), str(tmp_path / "upper.png")


def test_own_files_take_the_places_of_the_two_images(files: tuple[str, str]) -> None:
    pair = Plane("images", *files, side=16).load()
    x, y = (draw(500, torch.Generator().manual_seed(2)) for draw in (pair.source, pair.target))
    assert float(x[:, 0].max()) <= SCALE / 4
    assert float(x[:, 1].max()) > 0.9 * SCALE
    assert float(y[:, 1].min()) >= 0.75 * SCALE
    swapped = Plane("images", *reversed(files), side=16).load()
    assert len({pair.sha256, swapped.sha256, Plane("images").load().sha256}) == 3


def test_files_that_cannot_serve_are_named(files: tuple[str, str], tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    PIL.Image.new("L", (9, 9)).save(black)
    with pytest.raises(DataError, match=r"black\.png is entirely black"):
        Plane("images", files[0], str(black)).load()
    with pytest.raises(DataError, match=r"absent\.png is missing or no file"):
        Plane("images", files[0], str(tmp_path / "absent.png")).load()
    with pytest.raises(ValueError, match="brightness must be finite"):
        image_law(np.array([[1.0, -1.0]]))
