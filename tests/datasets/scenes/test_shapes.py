"""Drawing against areas known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from otbench_datasets.scenes.shapes import Canvas, closed_spline, cross, disc_coverage, heart, ring


@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.31, 0.64), (0.2, 0.8)])
def test_discs_cover_pixels_exactly(centre):
    exact = disc_coverage(torch.tensor(centre, dtype=torch.float64), 0.17, 24)
    assert exact.shape == (1, 24, 24)
    assert float(exact.double().sum()) == pytest.approx(math.pi * (0.17 * 24) ** 2, rel=1e-6)
    canvas = Canvas(24)
    sampled = canvas.gray(canvas.disc(*centre, 0.17))
    assert float((exact - sampled).abs().max()) < 0.02


def test_discs_in_a_stack_are_those_drawn_one_by_one():
    centres = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    stack = disc_coverage(centres, 0.1, 16)
    assert stack.shape == (2, 3, 1, 16, 16)
    assert torch.equal(stack[1, 2], disc_coverage(centres[1, 2], 0.1, 16))


def test_areas_of_sampled_shapes():
    canvas = Canvas(32)
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([0.5 + 0.3 * np.cos(t), 0.5 + 0.3 * np.sin(t)], 1)
    found = {
        "ring": ring(canvas, 0.5, 0.5, 0.3, 0.1),
        "cross": cross(canvas, 0.5, 0.5, 0.3),
        "ellipse": canvas.ellipse(0.5, 0.5, 0.3, 0.2, 30),
        "rounded box": canvas.box(0.2, 0.3, 0.8, 0.7, 0.1),
        "triangle": canvas.polygon([(0.1, 0.1), (0.9, 0.1), (0.1, 0.9)]),
        "spline": canvas.curve(circle),
        # The area inside the curve is 180 pi, before it is scaled.
        "heart": heart(canvas),
        "stroke": canvas.stroke([(0.2, 0.5), (0.8, 0.5)], 0.125),
    }
    wanted = {
        "ring": math.pi * 0.08,
        "cross": 5 * 0.2**2,
        "ellipse": math.pi * 0.06,
        "rounded box": 0.6 * 0.4 - (4 - math.pi) * 0.01,
        "triangle": 0.32,
        "spline": math.pi * 0.09,
        "heart": 180 * math.pi / 42**2,
        "stroke": 0.6 * 0.125 + math.pi * 0.0625**2,
    }
    for name, mask in found.items():
        assert float(canvas.gray(mask).mean()) == pytest.approx(wanted[name], rel=0.01), name


def test_a_spline_goes_through_its_points():
    points = [(0.1, 0.2), (0.8, 0.3), (0.5, 0.9)]
    assert closed_spline(points, 5)[::5] == pytest.approx(np.array(points))


@pytest.mark.parametrize("corners", [3, 5, 12])
def test_polygons_are_filled_as_by_scikit_image(corners: int):
    polygon2mask = pytest.importorskip("skimage.draw").polygon2mask
    canvas = Canvas(16)
    points = np.random.default_rng(corners).random((corners, 2))
    fine = canvas.side * canvas.samples
    wanted = polygon2mask((fine, fine), points[:, ::-1] * fine - 0.5)
    np.testing.assert_array_equal(canvas.polygon(points), wanted)
