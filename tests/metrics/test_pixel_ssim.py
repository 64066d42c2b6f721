"""Pixel errors against closed forms, SSIM against scikit-image."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from otbench.interface.artefacts import ComparedImages
from otbench.interface.metric import Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.pixel import MSE, PSNR
from otbench.metrics.ssim import SSIM
from otbench.metrics.ssim import structural_similarity as ours


def noisy(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> ComparedImages:
    generator = torch.Generator().manual_seed(1)
    real = torch.rand(shape, generator=generator, dtype=dtype)
    noise = 0.3 * torch.randn(shape, generator=generator, dtype=dtype)
    return ComparedImages(real, (real + noise).clamp(0, 1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window", [7, 11])
def test_ssim_is_that_of_scikit_image(channels: int, dtype: torch.dtype, window: int) -> None:
    pairs = noisy((5, channels, 32, 24), dtype)
    wanted = [
        structural_similarity(
            a.double().numpy(), b.double().numpy(), win_size=window, data_range=1, channel_axis=0
        )
        for a, b in zip(pairs.real, pairs.generated, strict=True)
    ]
    got = ours(pairs.real, pairs.generated, window)
    assert got.tolist() == pytest.approx(wanted, abs=1e-12)


def test_ssim_of_gray_is_that_of_a_matrix_in_single_precision(scoring: ScoreContext) -> None:
    pairs = noisy((4, 1, 32, 32))
    wanted = [
        structural_similarity(a[0].numpy(), b[0].numpy(), win_size=7, data_range=1)
        for a, b in zip(pairs.real, pairs.generated, strict=True)
    ]
    got = SSIM().compute(pairs, scoring)
    assert got.value == pytest.approx(sum(map(float, wanted)) / 4, abs=1e-6)
    assert SSIM().id == "ssim[win=7,range=1]"


def test_ssim_window_must_fit() -> None:
    with pytest.raises(ValueError, match="window must be odd and at most 6"):
        ours(torch.zeros(1, 1, 6, 9), torch.zeros(1, 1, 6, 9))


def test_mse_and_psnr_are_those_of_scikit_image(scoring: ScoreContext) -> None:
    pairs = noisy((6, 3, 16, 16))
    images = [(a.numpy(), b.numpy()) for a, b in zip(pairs.real, pairs.generated, strict=True)]
    errors = torch.tensor([float(mean_squared_error(a, b)) for a, b in images])
    decibels = [float(peak_signal_noise_ratio(a, b, data_range=1)) for a, b in images]
    mse, psnr = MSE().compute(pairs, scoring), PSNR().compute(pairs, scoring)
    assert mse.value == pytest.approx(float(errors.mean()), rel=1e-6)
    assert mse.stderr == pytest.approx(float(errors.std()) / 6**0.5, rel=1e-4)
    assert psnr.value == pytest.approx(sum(decibels) / 6, rel=1e-6)
    assert (mse.n, psnr.n) == (6, 6)


def test_identical_images_are_capped(scoring: ScoreContext) -> None:
    real = noisy((3, 1, 8, 8)).real
    assert PSNR().compute(ComparedImages(real, real.clone()), scoring).value == pytest.approx(100)


@pytest.mark.parametrize("metric", [MSE(), PSNR(), SSIM()])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, r"'generated' has values from -1 to .*wanted \[0, 1\]"),
        (255.0, r"to 255, wanted \[0, 1\]"),
        (float("nan"), "'generated' has 1 values that are not finite"),
    ],
)
def test_images_out_of_range_are_refused(
    metric: MSE, value: float, message: str, scoring: ScoreContext
) -> None:
    pairs = noisy((3, 1, 8, 8))
    pairs.generated[1, 0, 2, 3] = value
    with pytest.raises(ValueError, match=message):
        metric.compute(pairs, scoring)


def test_pairs_must_belong_together(scoring: ScoreContext) -> None:
    real = torch.zeros(3, 1, 8, 8)
    with pytest.raises(ValueError, match="not paired"):
        MSE().compute(ComparedImages(real, real, paired=False), scoring)
    with pytest.raises(ValueError, match="differ in shape"):
        MSE().compute(ComparedImages(real, real[:2]), scoring)


def test_average_of_nothing_is_undefined() -> None:
    with pytest.raises(Undefined, match="no item"):
        Value.of(torch.empty(0))
    assert Value.of(torch.tensor([2.0])) == Value(2.0, None, 1)
