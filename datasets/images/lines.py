"""ACAI's synthetic task: lines from the centre at all angles of the circle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench.errors import UsageError
from otbench.interface import CircularFamily, Dataset, ImageDataset, Split, parameter
from otbench_datasets.definitions import drawing_seed
from otbench_datasets.splits import tensor_digest


def draw_lines(angles: Tensor, side: int = 32, width: float = 2.0) -> Tensor:
    """Draw one anti-aliased line per image, from the centre towards an angle.

    The line ends one pixel short of the edge, at centre + (side / 2 - 1) * (cos, sin). Across the
    axis that it is closer to, an interval of the given width around the line covers each row (or
    column) of pixels, and at the two ends a part of it. The value of a pixel is the covered
    fraction.

    Parameters
    ----------
    angles : Tensor, shape (n,)
        Angles in radians, counter-clockwise from the right of the image.
    side : int
        Pixels.
    width : float
        Width in pixels, measured across the axis that the line is closer to.

    Returns
    -------
    Tensor, shape (n, 1, side, side)
        float32 in [0, 1].

    Notes ----- Berthelot et al. 2018, section 3.1: 32x32, 16 pixels from the centre, background -1
    and line +1. Here the background is 0 and the line 1; ``2 * x - 1`` gives theirs. The release
    evaluates the position of the line one pixel earlier along the axis: for the cross-fade from 5
    pi / 7 to 3 pi / 2, its images have a mean distance of 7.22e-3 and these 7.17e-3. The family has
    a small discontinuity at the four diagonals, where the axis and the shape of the two ends
    change.
    """
    centre = side / 2
    reach = centre - 1
    angle = angles.double()
    # Rows count downwards.
    right, down = angle.cos(), -angle.sin()
    flat = right.abs() > down.abs()
    along, across = torch.where(flat, right, down), torch.where(flat, down, right)
    end = centre + reach * along
    begin, end = torch.minimum(end, torch.tensor(centre)), end.clamp(min=centre)
    low = torch.arange(side, dtype=torch.float64)
    covered = torch.minimum(low + 1, end[:, None]) - torch.maximum(low, begin[:, None])
    # Position of the line at the middle of each step along the axis.
    middle = centre + (low + 0.5 - centre) * (across / along)[:, None]
    reached = torch.minimum(low + 1, middle[..., None] + width / 2)
    spread = reached - torch.maximum(low, middle[..., None] - width / 2)
    image = covered.clamp(0, 1)[..., None] * spread.clamp(0, 1)
    image = torch.where(flat[:, None, None], image.mT, image)
    return image.float().unsqueeze(1)


@dataclass
class Lines(Dataset):
    """Lines at angles drawn uniformly from [0, 2 pi) (Berthelot et al. 2018, section 3.1).

    The data set has no labels. ``family`` contains 10,000 lines at evenly spaced angles, with which
    the task's two metrics compare images. The release draws unlimited training images, and 5,000
    new test images for every evaluation; here both sets are finite and fixed by the seed.
    """

    train: int = parameter(10_000, "training images", low=1)
    validation: int = parameter(1_000, "validation images", low=1)
    test: int = parameter(1_000, "test images", low=1)
    seed: int = drawing_seed("seed of the angles")

    title: ClassVar[str] = "ACAI's synthetic lines, 32x32"
    bank: ClassVar[int] = 10_000

    def load(self) -> ImageDataset:
        """Draw the images; see `otbench.interface.Dataset.load`."""
        sizes = (self.train, self.validation, self.test)
        if min(sizes) < 1:
            raise UsageError(f"lines needs at least one image in each split, got {sizes}")
        generator = torch.Generator().manual_seed(self.seed)
        angles = torch.rand(sum(sizes), generator=generator, dtype=torch.float64) * (2 * math.pi)
        splits = [Split(draw_in_parts(part)) for part in angles.split(sizes)]
        grid = torch.arange(self.bank) * (2 * math.pi / self.bank)
        return ImageDataset(
            "lines",
            "default" if self == Lines() else f"{'-'.join(map(str, sizes))}-seed{self.seed}",
            *splits,
            sha256=tensor_digest(*(split.images for split in splits)),
            family=CircularFamily(draw_in_parts(grid), grid),
        )


def draw_in_parts(angles: Tensor) -> Tensor:
    """Draw many lines, a thousand at a time to limit memory; see `draw_lines`."""
    return torch.cat([draw_lines(part) for part in angles.split(1000)])
