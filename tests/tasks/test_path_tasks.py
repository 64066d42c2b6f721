"""The tasks on scenes and on few images, with methods whose answers are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.interface import Autoencoder, ImageDataset, Interpolator, Scene, Split
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput, Task
from otbench.scoring.gallery import write_images
from otbench.tasks.barycenter import Barycenter, grid_weights
from otbench.tasks.drawing import exact_geodesics
from otbench.tasks.geodesic import Geodesic
from otbench.tasks.limited_data import FEW, PAIRS, LimitedData
from otbench.tasks.obstacles import Obstacles
from otbench_methods.interpolators.base import UnlearnedInterpolator
from otbench_methods.interpolators.crossfade import Crossfade
from otbench_methods.interpolators.displacement import Displacement


class Pixels(UnlearnedInterpolator, Autoencoder):
    """The code is the image."""

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return z.unflatten(1, (1, 32, 32)).clamp(0, 1)

    interpolate = Autoencoder.interpolate
    barycenter = Autoencoder.barycenter


class NoAverage(UnlearnedInterpolator):
    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        return x0.unsqueeze(1).expand(-1, len(t), -1, -1, -1)


class TooBright(Pixels):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z) * 3


def disc(row: float, column: float) -> Tensor:
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    return ((y - row) ** 2 + (x - column) ** 2 <= 3**2).float().unsqueeze(0)


@pytest.fixture
def corners() -> Tensor:
    return torch.stack([disc(8, 8), disc(8, 24), disc(24, 8), disc(24, 24)])


@pytest.fixture
def scene(corners: Tensor) -> ImageDataset:
    shown = Split(corners)
    return ImageDataset(
        "places",
        "drawn",
        shown,
        shown,
        shown,
        sha256="0" * 64,
        pairs=(corners[:3], corners[1:]),
        scene=Scene(corners=corners),
    )


@pytest.fixture
def maze(scene: ImageDataset) -> ImageDataset:
    walls = torch.zeros(32, 32, dtype=torch.bool)
    walls[15:17, :26] = True
    return dataclasses.replace(scene, name="maze", obstacles=walls)


@pytest.fixture
def scoring(scene: ImageDataset) -> ScoreContext:
    return ScoreContext(torch.device("cpu"), 0, scene, frames=9, batch_size=8)


def test_geodesic_holds_the_exact_plan(scene: ImageDataset, scoring: ScoreContext) -> None:
    paths = Geodesic().run(Crossfade(), scene, scoring)
    assert paths.frames.shape == paths.exact.shape == (3, 9, 1, 32, 32)
    assert torch.equal(paths.x1, scene.train.images[1:])
    centre = torch.stack([disc(8, 8 + 2 * k) for k in range(9)])
    assert float((paths.exact[0] - centre).abs().max()) < 1e-5
    drawn = Geodesic().run(Displacement(), scene, scoring)
    assert float((drawn.frames - drawn.exact).abs().max()) < 1e-5
    scoring.pairs = 2
    assert len(Geodesic().run(Crossfade(), scene, scoring).exact) == 2


def test_geodesic_prefers_the_scenes_own(scene: ImageDataset, scoring: ScoreContext) -> None:
    def own(times: Tensor) -> Tensor:
        return times.view(1, -1, 1, 1, 1).expand(3, -1, 1, 32, 32)

    known = dataclasses.replace(scene, scene=Scene(geodesic=own))
    scoring.pairs = 2
    paths = Geodesic().run(Crossfade(), known, scoring)
    assert paths.exact.shape == (2, 9, 1, 32, 32)
    assert torch.equal(paths.exact[1, :, 0, 4, 4], paths.times.double())
    wrong = dataclasses.replace(scene, scene=Scene(geodesic=lambda t: own(t)[:, :, :, :4]))
    with pytest.raises(ValueError, match="geodesic that places declares has shape"):
        Geodesic().run(Crossfade(), wrong, scoring)


def test_obstacles_masks_and_keeps(maze: ImageDataset, scoring: ScoreContext) -> None:
    paths = Obstacles().run(Displacement(), maze, scoring)
    assert maze.obstacles is not None
    assert float(paths.frames[..., maze.obstacles].max()) == 0
    assert float(paths.drawn[..., maze.obstacles].max()) > 0
    free = ~maze.obstacles
    assert torch.equal(paths.frames[..., free], paths.drawn[..., free])


def test_barycenter_draws_the_grid(
    scene: ImageDataset, corners: Tensor, scoring: ScoreContext
) -> None:
    grid = Barycenter().run(Pixels(), scene, scoring)
    assert grid.images.shape == (36, 1, 32, 32)
    assert grid.exact is None
    assert torch.allclose(grid.images[[0, 5, 30, 35]], corners)
    assert torch.allclose(grid.images[7], (grid.weights[7].view(4, 1, 1, 1) * corners).sum(0))
    exact = dataclasses.replace(
        scene, scene=Scene(corners=corners, barycenters=lambda w: w @ corners.flatten(1))
    )
    with pytest.raises(ValueError, match="barycentres that places declares have shape"):
        Barycenter().run(Pixels(), exact, scoring)
    fading = Scene(
        corners=corners, barycenters=lambda w: (w @ corners.flatten(1)).view(-1, 1, 32, 32)
    )
    known = Barycenter().run(Pixels(), dataclasses.replace(scene, scene=fading), scoring)
    assert known.exact is not None
    assert torch.allclose(known.exact, known.images.double(), atol=1e-6)


def test_grid_weights_are_bilinear() -> None:
    weights = grid_weights(4)
    places = torch.tensor([[0.0, 0], [0, 5], [5, 0], [5, 5]])
    expected = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))
    assert torch.allclose(weights @ places, expected, atol=1e-6)
    assert torch.allclose(weights.sum(1), torch.ones(36))
    for corners, count in ((2, 6), (3, 21), (5, 126)):
        shares = grid_weights(corners)
        assert shares.shape == (count, corners)
        assert torch.allclose(shares.sum(1), torch.ones(count))
        assert len(shares.unique(dim=0)) == count


@pytest.mark.parametrize(("few", "count"), [(2, 1), (4, 6), (100, PAIRS)])
def test_limited_data_joins_training_images(
    blobs: ImageDataset, scoring: ScoreContext, few: int, count: int
) -> None:
    small = dataclasses.replace(blobs, train=Split(blobs.train.images[:few]))
    assert LimitedData().lacks(small) is None
    paths = LimitedData().run(Crossfade(), small, scoring)
    assert len(paths.x0) == count
    for ends in (paths.x0, paths.x1):
        assert all(any(torch.equal(x, y) for y in small.train.images) for x in ends)
    assert torch.allclose(paths.exact[0], exact_geodesics(paths.x0[:1], paths.x1[:1], paths.times))
    again = LimitedData().run(Displacement(), small, scoring)
    assert torch.equal(paths.x0, again.x0)


def test_what_the_data_lack_is_named(
    scene: ImageDataset, maze: ImageDataset, blobs: ImageDataset
) -> None:
    bare = dataclasses.replace(scene, scene=Scene(), pairs=None)
    one = dataclasses.replace(scene, scene=Scene(corners=scene.train.images[:1]))
    lone = dataclasses.replace(blobs, train=Split(blobs.train.images[:1]))
    for task, data, reason in (
        (Geodesic(), blobs, "needs a scene: blobs"),
        (Geodesic(), bare, "needs pairs: places"),
        (Geodesic(), maze, "needs free space: maze"),
        (Obstacles(), scene, "needs walls: places"),
        (Obstacles(), dataclasses.replace(maze, pairs=None), "needs pairs: maze"),
        (Barycenter(), blobs, "needs corners: blobs"),
        (Barycenter(), one, "needs 2 to 5 corners: places has 1"),
        (LimitedData(), scene, "places is a scene"),
        (LimitedData(), blobs, f"needs 2 to {FEW} training images: blobs has 256"),
        (LimitedData(), lone, f"needs 2 to {FEW} training images: blobs has 1"),
    ):
        assert reason in str(task.lacks(data))
        assert reason in str(task.missing(Pixels(), data))
    for task, data in ((Geodesic(), scene), (Obstacles(), maze), (Barycenter(), scene)):
        assert task.lacks(data) is None
        assert task.missing(Pixels(), data) is None


def test_what_the_method_lacks_is_named(scene: ImageDataset, maze: ImageDataset) -> None:
    assert Barycenter().missing(NoAverage(), scene) == (
        "needs barycenter: NoAverage cannot average images"
    )
    tasks: list[tuple[Task, ImageDataset]] = [(Geodesic(), scene), (Obstacles(), maze)]
    for task, data in tasks:
        assert task.missing(NoAverage(), data) is None
        assert "needs interpolate" in str(task.missing(object(), data))  # type: ignore[arg-type]


def test_images_out_of_range_are_refused(
    scene: ImageDataset, maze: ImageDataset, scoring: ScoreContext
) -> None:
    tasks: list[tuple[Task, ImageDataset, str]] = [
        (Geodesic(), scene, "interpolate"),
        (Obstacles(), maze, "interpolate"),
        (Barycenter(), scene, "barycenter"),
    ]
    for task, data, call in tasks:
        with pytest.raises(BadOutput, match=rf"output of TooBright\.{call} has values"):
            task.run(TooBright(), data, scoring)


def test_gallery_of_a_scene(
    tmp_path: Path,
    scene: ImageDataset,
    maze: ImageDataset,
    blobs: ImageDataset,
    scoring: ScoreContext,
) -> None:
    def gallery(method: Interpolator, data: ImageDataset) -> dict[str, np.ndarray]:
        write_images(tmp_path / "gallery.npz", method, data, scoring)
        with np.load(tmp_path / "gallery.npz") as arrays:
            return dict(arrays)

    pictures = gallery(Pixels(), scene)
    assert pictures["paths"].shape == (3, 17, 1, 32, 32)
    assert pictures["barycenters"].shape == (36, 1, 32, 32)
    assert {array.dtype for array in pictures.values()} == {np.dtype("uint8")}
    assert "obstacles" not in pictures
    assert (pictures["barycenters"][35] == pictures["images"][3]).all()
    assert "barycenters" not in gallery(NoAverage(), scene)
    walled = gallery(Displacement(), maze)
    assert maze.obstacles is not None
    assert (walled["obstacles"] > 0).tolist() == maze.obstacles.tolist()
    assert walled["paths"][..., maze.obstacles.numpy()].max() == 0
    usual = gallery(Pixels(), blobs)
    assert usual["paths"].shape == (4, 9, 1, 32, 32)
    assert set(usual) == {"images", "paths", "reconstructions"}
