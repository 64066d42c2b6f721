"""Pictures of one cell: a few held-out images, their reconstructions, a few paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from otbench.interface import Autoencoder, ImageDataset, Interpolator
from otbench.metrics.base import ScoreContext

IMAGES = 8
PATHS = 4


def _bytes(images: Tensor) -> np.ndarray:
    return (images.clamp(0, 1) * 255).round().byte().numpy(force=True)


def write_gallery(path: Path, method: Interpolator, data: ImageDataset, ctx: ScoreContext) -> None:
    """Write a few pictures as 8-bit arrays: ``images``, ``reconstructions``, ``paths``.

    Paths run between the first test images of the data set, or its own pairs, so that all methods
    show the same ones.
    """
    images = data.test.images[:IMAGES]
    x0, x1 = data.pairs or (images[0::2], images[1::2])
    x0, x1 = x0[:PATHS].to(ctx.device), x1[:PATHS].to(ctx.device)
    times = torch.linspace(0, 1, ctx.frames, device=ctx.device)
    with torch.no_grad():
        arrays = {
            "images": _bytes(images),
            "paths": _bytes(method.interpolate(x0, x1, times)),
        }
        if isinstance(method, Autoencoder):
            codes = method.encode(images.to(ctx.device))
            arrays["reconstructions"] = _bytes(method.decode(codes))
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
