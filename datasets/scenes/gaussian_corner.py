"""A Gaussian that moves along the diagonal, so that the geodesic is a translation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.interface import Dataset, ImageDataset, Scene, parameter
from otbench_datasets.scenes.base import build_scene, scene_side, translation

CUT = 0.2  # as a fraction of the peak
SAMPLES = 16  # per side of a pixel


def draw_gaussian(centres: Tensor, sigma: float, side: int) -> Tensor:
    """Draw one Gaussian per image, with peak 1 and values below 1/5 set to 0.

    A pixel is the mean over 16x16 samples in it, and the image is scaled to the mass of the
    truncated Gaussian in the plane, 2 pi sigma^2 (1 - 1/5). Sampled only at pixel centres, the mass
    of a moving Gaussian would fluctuate because of the discontinuity.

    Parameters
    ----------
    centres : Tensor, shape (..., 2)
        x and y in the unit square.
    sigma : float
        Standard deviation as a fraction of the side.
    side : int
        Pixels.

    Returns
    -------
    Tensor, shape (..., 1, side, side)
        float32 in [0, 1].
    """
    fine = side * SAMPLES
    axis = (torch.arange(fine, dtype=torch.float64, device=centres.device) + 0.5) / fine

    def draw(centre: Tensor) -> Tensor:
        x, y = ((axis - c) ** 2 / (2 * sigma**2) for c in centre)
        density = torch.exp(-(x + y.unsqueeze(1)))
        density[density < CUT] = 0
        image = density.unflatten(1, (side, SAMPLES)).unflatten(0, (side, SAMPLES)).mean((1, 3))
        mass = 2 * math.pi * (sigma * side) ** 2 * (1 - CUT)
        return (image * (mass / image.sum())).clamp(max=1).float().unsqueeze(0)

    images = [draw(centre) for centre in centres.double().flatten(0, -2)]
    return torch.stack(images).unflatten(0, centres.shape[:-1])


@dataclass
class GaussianCorner(Dataset):
    """Two truncated Gaussians on the diagonal (Feng & Strohmer, figure 2b).

    Values below a fifth of the peak are set to 0. The paper evaluates the Gaussian at the nodes of
    a 128x128 grid, stores it with 8 bits and downsamples it. Here each pixel is the mean over its
    area, so both images and all frames of the geodesic have the same mass (see `draw_gaussian`).
    """

    side: int = scene_side()
    start: float = parameter(
        0.25,
        "x and y of the first centre, as fractions of the side",
        "Feng & Strohmer, 7.1",
        low=0,
        high=1,
    )
    end: float = parameter(
        0.75,
        "x and y of the second centre, as fractions of the side",
        "Feng & Strohmer, 7.1",
        low=0,
        high=1,
    )
    sigma: float = parameter(
        0.1,
        "standard deviation as a fraction of the side",
        "Feng & Strohmer, 7.1",
        above=0,
        high=0.25,
    )

    title: ClassVar[str] = "A Gaussian moved along the diagonal (exact geodesic)"

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each Gaussian that is too narrow or leaves the image."""
        if self.sigma < 1 / self.side:
            yield f"sigma must be at least {1 / self.side:g} (one pixel), got {self.sigma}"
        reach = self.sigma * math.sqrt(2 * math.log(1 / CUT))
        for name, place in (("start", self.start), ("end", self.end)):
            if not reach <= place <= 1 - reach:
                yield (
                    f"{name} must be from {reach:.3f} to {1 - reach:.3f} with sigma "
                    f"{self.sigma:g}, or the Gaussian leaves the image; got {place}"
                )

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""

        def draw(places: Tensor) -> Tensor:
            return draw_gaussian(places, self.sigma, self.side)

        places = torch.tensor([[self.start] * 2, [self.end] * 2], dtype=torch.float64)
        geodesic = translation(draw, places[:1], places[1:])
        return build_scene("gaussian-corner", draw(places), Scene(geodesic=geodesic))
