"""Paths of densities that several test modules share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def stored_run() -> Tensor:
    """The two frames of the run stored in the notebook of Feng & Strohmer's release.

    Two Gaussians, cut, written as an 8-bit gray picture and read back (matplotlib's ``imsave``:
    256 bins, and a table of grays that is truncated to bytes), flipped so that the white
    background is the mass, sampled down, floored, and scaled to a mass of 100.
    """
    axis = np.linspace(0, 1, 128)
    grays = np.trunc(np.linspace(0, 1, 256) * 255 / 255 * 255)
    frames = []
    for centre in (0.25, 0.75):
        squared = (axis[:, None] - centre) ** 2 + (axis[None] - centre) ** 2
        blob = np.exp(-squared / (2 * 0.1**2))
        blob[blob < 0.2] = 0
        bins = np.minimum(blob / blob.max() * 256, 255).astype(int)
        frames.append(torch.tensor(1 - grays[bins] / 255, dtype=torch.float32))
    small = torch.nn.functional.interpolate(
        torch.stack(frames).unsqueeze(1), size=(32, 32), mode="bilinear"
    )[:, 0].double()
    background = small < 1e-5
    scale = (100 - 1e-5 * background.sum((1, 2))) / (small * ~background).sum((1, 2))
    return torch.where(background, torch.full_like(small, 1e-5), small * scale.view(2, 1, 1))


@pytest.fixture(scope="session")
def positive_frames() -> Callable[..., Tensor]:
    """Return a function that draws frames (..., h, w), of mass 10 unless told otherwise."""

    def draw(*shape: int, seed: int = 0, equal_mass: bool = True) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        frames = torch.rand(*shape, generator=generator, dtype=torch.float64) + 0.1
        return 10 * frames / frames.sum((-2, -1), keepdim=True) if equal_mass else frames

    return draw
