"""Pictures of one cell: a few held-out images, their reconstructions, and a few paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from otbench.interface.data import ImageDataset, ImagePair, MeasurePair
from otbench.interface.method import Autoencoder, Interpolator, StochasticMap, TransportMap
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.tasks import transport
from otbench.tasks.barycenter import drawn_barycenters, draws_barycenters, grid_weights

IMAGES = 8
PATHS = 4
CLOUD = 2000
"""Number of points of each distribution."""

TRANSLATIONS = 12
"""Number of images of either side."""

GRID = 81
"""Number of points along a side of the grid."""

GRID_TAIL = 0.005
"""Share of the source's points that may lie beyond each side of the grid."""
ARROWS = 64
"""Number of source points whose barycentric images, the means of 256 draws, are kept."""

SCENE_REFINEMENT = 2
"""Frames of a scene's path per scored step; every other frame is a scored one."""


def _bytes(images: Tensor) -> np.ndarray:
    return (images.clamp(0, 1) * 255).round().byte().numpy(force=True)


def write_clouds(path: Path, method: TransportMap, data: MeasurePair, ctx: ScoreContext) -> None:
    """Write held-out points ``source`` and ``target`` and the ``pushed`` source points.

    Each is (n, 2), float32; in higher dimensions, only the first two coordinates are written. In
    the plane the file also holds a regular ``grid`` over the source and its image ``warped``,
    (k, k, 2) each, and the values of the ``potential`` on the grid, (k, k), if the method has one.
    For a stochastic map there are also ``barycentric``, the mean images of the first source points,
    and the ``potential_losses`` of its training, (steps,), if it has any.
    """
    source = transport.drawn(data, "source", CLOUD, transport.SOURCE_SEED)
    target = transport.drawn(data, "target", CLOUD, transport.TARGET_SEED)
    pushed, _ = transport.push(method, source.to(ctx.device), ctx)
    clouds = {"source": source, "target": target, "pushed": pushed}
    losses = None
    if isinstance(method, StochasticMap):
        generator = torch.Generator(ctx.device).manual_seed(transport.PUSH_SEED)
        with torch.no_grad():
            few = source[:ARROWS].to(ctx.device)
            clouds["barycentric"] = method.barycentric(few, 256, generator)
        losses = method.potential_losses()
    arrays = {name: cloud[:, :2].numpy(force=True) for name, cloud in clouds.items()}
    if losses is not None:
        arrays["potential_losses"] = losses.numpy(force=True)
    if data.dimension == 2:
        arrays |= _over_a_grid(method, source, ctx)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def write_translations(
    path: Path, method: TransportMap, data: ImagePair, ctx: ScoreContext
) -> None:
    """Write test ``images`` of the source, their translations ``translated``, and ``targets``.

    Each is (n, c, h, w), 8-bit. For a stochastic map there are also ``draws`` (m, k, c, h, w) for
    the first images.
    """
    source, target = (
        s.test.sample(TRANSLATIONS).images for s in (data.source_images, data.target_images)
    )
    moved, _ = transport.push(method, source.flatten(1).to(ctx.device), ctx)
    arrays = {"images": source, "translated": data.images(moved), "targets": target}
    if isinstance(method, StochasticMap):
        generator = torch.Generator(ctx.device).manual_seed(transport.PUSH_SEED)
        few = source[:PATHS].flatten(1).to(ctx.device)
        with torch.no_grad():
            draws = method.conditional(few, TRANSLATIONS, generator)
        arrays["draws"] = draws.unflatten(2, data.image_shape)
    np.savez_compressed(path, **{name: _bytes(stack) for name, stack in arrays.items()})  # type: ignore[arg-type]


def _over_a_grid(method: TransportMap, source: Tensor, ctx: ScoreContext) -> dict[str, np.ndarray]:
    """Return a grid over most of the source, points (n, 2), and its image under the map."""
    # A few outliers would stretch the grid over regions without training points.
    ends = torch.quantile(source, torch.tensor([GRID_TAIL, 1 - GRID_TAIL]), dim=0)
    axes = [torch.linspace(low, high, GRID) for low, high in ends.T.tolist()]
    grid = torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=2)
    points = grid.flatten(0, 1).to(ctx.device)
    try:
        warped = transport.carried(method, points, ctx).view(grid.shape)
    except BadOutput:
        # The grid extends beyond the source's points; a map that fails there gets no picture.
        return {}
    arrays = {"grid": grid, "warped": warped}
    if transport.offers(method, "potential_value"):
        with torch.no_grad():
            values = method.potential_value(points).view(GRID, GRID)
        if torch.isfinite(values).all():
            arrays["potential"] = values
    return {name: array.numpy(force=True) for name, array in arrays.items()}


def write_images(path: Path, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> None:
    """Write a few pictures as 8-bit arrays.

    The file holds ``images`` (n, c, h, w), their ``reconstructions`` by an autoencoder, and
    ``paths`` (n, k, c, h, w) between a few test images of the data set, or between its own pairs,
    so that all methods show the same ones. The paths of a scene have more frames. If there are
    walls, ``obstacles`` (h, w) holds them, and they are 0 in the paths. If a scene has corners and
    the method averages, ``barycenters`` (k, c, h, w) has one image for each row of
    `otbench.tasks.barycenter.grid_weights`.
    """
    images = data.test.images if data.scene is not None else data.test.sample(IMAGES).images
    images = images[:IMAGES]
    x0, x1 = data.pairs or (images[0::2], images[1::2])
    x0, x1 = x0[:PATHS].to(ctx.device), x1[:PATHS].to(ctx.device)
    steps = (ctx.frames - 1) * (1 if data.scene is None else SCENE_REFINEMENT)
    times = torch.linspace(0, 1, steps + 1, device=ctx.device)
    corners = None if data.scene is None else data.scene.corners
    with torch.no_grad():
        paths = method.interpolate(x0, x1, times)
        arrays = {"images": _bytes(images)}
        if data.obstacles is not None:
            paths = paths.masked_fill(data.obstacles.to(paths.device), 0)
            arrays["obstacles"] = _bytes(data.obstacles.float())
        arrays["paths"] = _bytes(paths)
        if isinstance(method, Autoencoder):
            codes = method.encode(images.to(ctx.device))
            arrays["reconstructions"] = _bytes(method.decode(codes))
        if corners is not None and draws_barycenters(method):
            weights = grid_weights(len(corners))
            arrays["barycenters"] = _bytes(drawn_barycenters(method, corners, weights, ctx))
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
