from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from otbench.errors import UsageError
from otbench_datasets.images.lines import Lines, draw_lines


def supersampled(angle, side=32, width=2.0, fine=40):
    """Draw the same strip by counting points on a fine grid within each pixel."""
    axis = (np.arange(side * fine) + 0.5) / fine - side / 2
    x, y = np.meshgrid(axis, -axis)
    along, across = math.cos(angle), math.sin(angle)
    if abs(across) > abs(along):
        x, y, along, across = y, x, across, along
    end = (side / 2 - 1) * along
    inside = (x * np.sign(along) >= 0) & (x / end <= 1)
    # The interval is taken at the middle of each step along the axis, as drawn.
    middle = np.floor(x) + 0.5
    inside &= np.abs(y - middle * across / along) <= width / 2
    return inside.reshape(side, fine, side, fine).mean((1, 3))


@pytest.mark.parametrize("degrees", [0, 17, 44, 46, 90, 133, 180, 200, 260, 270, 301, 359])
def test_a_line_covers_what_a_strip_covers(degrees):
    angle = math.radians(degrees)
    image = draw_lines(torch.tensor([angle]))[0, 0].numpy()
    np.testing.assert_allclose(image, supersampled(angle), atol=0.03)


def test_a_line_leads_from_the_centre_to_its_end():
    angles = torch.linspace(0, 2 * math.pi, 33)[:-1]
    images = draw_lines(angles)[:, 0]
    assert images.shape == (32, 32, 32)
    assert images.min() == 0
    assert images.max() == 1
    axis = torch.arange(32) - 15.5
    mass = images.sum((1, 2))
    x = (images.sum(1) * axis).sum(1) / mass
    y = -(images.sum(2) * axis).sum(1) / mass
    # The middle of the line is halfway: 7.5 pixels from the centre.
    torch.testing.assert_close(x, 7.5 * angles.cos(), atol=0.05, rtol=0)
    torch.testing.assert_close(y, 7.5 * angles.sin(), atol=0.05, rtol=0)
    # The strip is 2 wide across its axis and 15 cos(angle to the axis) long along it.
    leading = torch.maximum(angles.cos().abs(), angles.sin().abs())
    torch.testing.assert_close(mass, 30 * leading, atol=0.01, rtol=0)


def test_lines_change_smoothly_with_the_angle():
    degrees = torch.arange(0.05, 360, 0.1)
    steps = draw_lines(degrees.deg2rad()).diff(dim=0).flatten(1).norm(dim=1)
    diagonal = ((degrees[:-1] // 45) != (degrees[1:] // 45)) & ((degrees[1:] // 45) % 2 == 1)
    assert diagonal.sum() == 4
    assert steps[~diagonal].max() < 2.5 * steps.mean()
    # The ends change their shape there, the line itself does not: less than one pixel of 21.
    assert steps[diagonal].max() < 1


def test_known_distances_of_the_task():
    """Cosine distances on [-1, 1]: two random true lines 0.082, a cross-fade 7.2e-3 off the bank.

    Both measured with the authors' functions, which draw one pixel off along the axis.
    """
    bank = draw_lines(torch.arange(2000) * (2 * math.pi / 2000)).flatten(1) * 2 - 1
    bank = bank / bank.norm(dim=1, keepdim=True)
    few = bank[::20]
    distance = 1 - few @ few.T
    assert float(distance.sum() / (100 * 99)) == pytest.approx(0.082, rel=0.03)
    ends = draw_lines(torch.tensor([5 * math.pi / 7, 3 * math.pi / 2])).flatten(1) * 2 - 1
    weight = torch.linspace(0, 1, 16)[:, None]
    fade = torch.nn.functional.normalize((1 - weight) * ends[0] + weight * ends[1])
    nearest = (1 - fade @ bank.T).min(1).values
    assert float(nearest.mean()) == pytest.approx(7.22e-3, rel=0.02)


def test_the_data_set():
    lines = Lines(train=30, validation=20, test=10)
    data = lines.load()
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 20, 10)
    assert data.train.labels is None
    assert data.classes is None
    assert data.family.images.shape == (10_000, 1, 32, 32)
    assert torch.equal(data.family.images[5000:5001], draw_lines(data.family.angles[5000:5001]))
    again, other = lines.load(), Lines(train=30, validation=20, test=10, seed=1).load()
    assert torch.equal(again.train.images, data.train.images)
    assert again.sha256 == data.sha256 != other.sha256
    assert other.variant != data.variant


def test_an_empty_split_is_refused():
    with pytest.raises(UsageError, match="test must be at least 1"):
        Lines(test=0).load()
