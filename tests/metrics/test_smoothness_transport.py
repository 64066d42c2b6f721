"""Smoothness and mass along paths whose answers are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from otbench.interface.artefacts import ComparedImages, Paths
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.smoothness import AdjacentSSIM, MaxStep, unevenness
from otbench.metrics.transport import EndpointError, MassDrift, PathEnergy
from otbench.ot.dynamic.path_energy import image_energy


def as_paths(frames: Tensor, x0: Tensor | None = None, x1: Tensor | None = None) -> Paths:
    x0 = frames[:, 0] if x0 is None else x0
    x1 = frames[:, -1] if x1 is None else x1
    times = torch.linspace(0, 1, frames.shape[1])
    return Paths(x0, x1, frames, times, ComparedImages(x0, x1, paired=False))


def fade(n: int = 5, k: int = 6) -> Tensor:
    first, last = torch.rand(2, n, 1, 1, 16, 16, generator=torch.Generator().manual_seed(8))
    time = torch.linspace(0, 1, k).view(1, k, 1, 1, 1)
    return (1 - time) * first + time * last


def test_adjacent_ssim_puts_the_data_at_the_ends(scoring: ScoreContext) -> None:
    frames = fade()
    x0, x1 = torch.rand(2, 5, 1, 16, 16, generator=torch.Generator().manual_seed(9))
    rows = []
    for i in range(5):
        path = [x0[i, 0], *frames[i, 1:-1, 0], x1[i, 0]]
        images = [image.double().numpy() for image in path]
        rows.append(
            [
                structural_similarity(a, b, win_size=7, data_range=1)
                for a, b in itertools.pairwise(images)
            ]
        )
    paths = as_paths(frames, x0, x1)
    mean, std = (AdjacentSSIM(s, "data").compute(paths, scoring) for s in ("mean", "std"))
    assert mean.value == pytest.approx(np.mean(rows), abs=1e-9)
    assert std.value == pytest.approx(np.std(rows, axis=1).mean(), abs=1e-9)
    assert std.stderr == pytest.approx(np.std(np.std(rows, axis=1), ddof=1) / 5**0.5, abs=1e-9)
    drawn = AdjacentSSIM("mean").compute(paths, scoring)
    itself = as_paths(frames)
    assert drawn.value == AdjacentSSIM("mean", "data").compute(itself, scoring).value
    assert drawn.value > mean.value


def test_directions_and_names() -> None:
    assert AdjacentSSIM().id == "adjacent_ssim[mean,drawn,legacy]"
    assert AdjacentSSIM("std").id == "adjacent_ssim[std,drawn]"
    assert AdjacentSSIM("std", "data").id == "adjacent_ssim[std,data,legacy]"
    assert [AdjacentSSIM(s, "data").direction for s in ("mean", "std")] == ["neutral", "lower"]
    assert PathEnergy().id == "path_energy[tau=10,floor=0.001]"
    with pytest.raises(ValueError, match="mean, std"):
        AdjacentSSIM("median")
    with pytest.raises(ValueError, match="above 0"):
        PathEnergy(tau=0)


def test_max_step_of_even_paths_and_jumps(scoring: ScoreContext) -> None:
    even = fade()
    assert MaxStep().compute(as_paths(even), scoring).value == pytest.approx(0, abs=1e-6)
    jump = even[:, [0, 0, 0, 5, 5, 5]]
    assert MaxStep().compute(as_paths(jump), scoring).value == pytest.approx(1 - 1 / 5)
    still = even[:, [0] * 6]
    # Standing still between different images is a jump that is not even drawn.
    stuck = as_paths(still, even[:, 0], even[:, -1])
    assert MaxStep().compute(stuck, scoring).value == pytest.approx(1 - 1 / 5)
    mixed = torch.cat([even, still])
    assert MaxStep().compute(as_paths(mixed), scoring).n == 5
    with pytest.raises(Undefined, match="nothing has to move"):
        MaxStep().compute(as_paths(still), scoring)


def test_unevenness_of_given_steps() -> None:
    steps = torch.tensor([[1.0, 1.0, 2.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    assert unevenness(steps).tolist() == pytest.approx([1 / 2 - 1 / 3, 1 - 1 / 3, 1 - 1 / 3])


def test_mass_drift_of_a_bump_and_of_a_fade(scoring: ScoreContext) -> None:
    frames = fade()
    assert MassDrift().compute(as_paths(frames), scoring).value == pytest.approx(0, abs=1e-6)
    # Mass 2 at the ends and 1, 3 in the two frames between: |1| + |1| over 4 frames, over 2.
    weight = torch.tensor([2.0, 1.0, 3.0, 2.0]).view(1, 4, 1, 1, 1) / 256
    bump = weight.expand(3, 4, 1, 16, 16)
    assert MassDrift().compute(as_paths(bump), scoring).value == pytest.approx(0.25)
    with pytest.raises(Undefined, match="blank"):
        MassDrift().compute(as_paths(torch.zeros(2, 3, 1, 8, 8)), scoring)


def test_endpoint_error_is_the_mean_over_both_ends(scoring: ScoreContext) -> None:
    frames = fade().clamp(0.2, 0.8)
    paths = as_paths(frames, frames[:, 0] + 0.1, frames[:, -1] - 0.2)
    assert EndpointError().compute(paths, scoring).value == pytest.approx((0.01 + 0.04) / 2)
    assert EndpointError().compute(as_paths(frames), scoring).value == 0


def test_path_energy_weighs_colours_by_mass(scoring: ScoreContext) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(2, 4, 3, 8, 8, generator=generator, dtype=torch.float64)
    frames[:, :, 1] *= 0.2
    metric = PathEnergy(tau=2, floor=0.1)
    each = [image_energy(frames[:, :, i : i + 1], tau=2, floor=0.1) for i in range(frames.shape[2])]
    masses = (frames + 0.1).sum((-2, -1)).mean(1)
    expected = (torch.stack(each, 1) * masses).sum(1) / masses.sum(1)
    value = metric.compute(as_paths(frames), scoring)
    assert value.value == pytest.approx(float(expected.mean()))
    assert value.n == 2


def test_path_energy_of_a_translation_is_its_squared_distance(scoring: ScoreContext) -> None:
    axis = torch.arange(32, dtype=torch.float64)
    centre = 9 + 12 * torch.linspace(0, 1, 11, dtype=torch.float64)
    across = torch.exp(-((axis - centre[:, None]) ** 2) / (2 * 1.5**2))
    along = torch.exp(-((axis - 16) ** 2) / (2 * 1.5**2))
    moving = (along[:, None] * across[:, None, :]).view(1, 11, 1, 32, 32)
    time = torch.linspace(0, 1, 11, dtype=torch.float64).view(1, -1, 1, 1, 1)
    fading = (1 - time) * moving[:, :1] + time * moving[:, -1:]
    metric = PathEnergy(tau=1e4, floor=1e-5)
    moved = metric.compute(as_paths(moving), scoring).value
    # Reference: 1.01 of the squared distance; the floor holds little of the mass.
    assert moved == pytest.approx(12**2, rel=0.03)
    assert metric.compute(as_paths(fading), scoring).value > 10 * moved


@pytest.mark.parametrize("metric", [AdjacentSSIM(), MaxStep(), MassDrift(), EndpointError()])
def test_frames_out_of_range_are_refused(metric: MaxStep, scoring: ScoreContext) -> None:
    frames = fade() * 255
    with pytest.raises(ValueError, match=r"'frames' has values .*wanted \[0, 1\]"):
        metric.compute(as_paths(frames, frames[:, 0] / 255, frames[:, -1] / 255), scoring)
