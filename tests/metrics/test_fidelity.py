"""Ratios of detail and spread against closed forms; ranges at the metrics' boundary; colour."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import laplace
from torch import Tensor

from otbench.conformance import tiny_images
from otbench.interface import ImageDataset
from otbench.interface.artefacts import ComparedImages
from otbench.interface.metric import Metric, Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics.conditional_variance import ConditionalVariance
from otbench.metrics.fidelity import (
    Compression,
    LaplacianRatio,
    SampleMSERatio,
    VarianceRatio,
    laplacian_energy,
    ratio_of_means,
)
from otbench.metrics.frechet import FID, KID
from otbench.metrics.lpips import LPIPS
from otbench.metrics.pixel import MSE, PSNR
from otbench.metrics.ssim import SSIM
from otbench.tasks.reconstruction import DRAWS, Reconstruction
from otbench_methods.autoencoders.ae import AE
from otbench_methods.autoencoders.not_ae import NOTAE


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_the_laplacian_is_scipys() -> None:
    images = random_images(3, 2, 9, 12)
    inner = [
        sum(float((laplace(plane.double().numpy())[1:-1, 1:-1] ** 2).sum()) for plane in image)
        for image in images
    ]
    assert laplacian_energy(images).tolist() == pytest.approx(inner)


def test_contrast_scales_both_ratios_by_its_square(scoring: ScoreContext) -> None:
    real = random_images(10, 3, 16, 16)
    pairs = ComparedImages(real, 0.5 + 0.6 * (real - 0.5))
    for metric in (LaplacianRatio(), VarianceRatio()):
        value = metric.compute(pairs, scoring)
        assert value.value == pytest.approx(0.36, rel=1e-5)
        assert value.stderr == pytest.approx(0, abs=1e-6)
        assert value.n == 10
        assert metric.compute(ComparedImages(real, real.clone()), scoring).value == pytest.approx(1)


def test_blur_lowers_sharpness_by_the_filters_gain(scoring: ScoreContext) -> None:
    """A plane wave goes through the mean of two neighbours with gain cos(w / 2), squared."""
    w = 2 * torch.pi / 8
    x = torch.arange(33.0)
    wave = 0.5 + 0.4 * torch.sin(w * x).expand(1, 1, 33, 33)
    mean = 0.5 + 0.4 * (torch.sin(w * x) + torch.sin(w * (x + 1))).div(2).expand(1, 1, 33, 33)
    value = LaplacianRatio().compute(ComparedImages(wave, mean), scoring)
    # Rows do not bend, and the inner 31 columns are not quite whole periods.
    assert value.value == pytest.approx(float(torch.cos(torch.tensor(w / 2)) ** 2), rel=0.03)


def test_the_mean_image_has_no_variance(scoring: ScoreContext) -> None:
    real = random_images(20, 1, 8, 8)
    flat = real.mean(0, keepdim=True).expand(20, -1, -1, -1)
    assert VarianceRatio().compute(ComparedImages(real, flat), scoring).value == pytest.approx(0)
    with pytest.raises(Undefined, match="all the same"):
        VarianceRatio().compute(ComparedImages(flat, real), scoring)
    with pytest.raises(Undefined, match="no edges"):
        LaplacianRatio().compute(ComparedImages(torch.zeros(2, 1, 8, 8), real[:2]), scoring)


def test_the_variance_is_the_trace_of_the_covariance(scoring: ScoreContext) -> None:
    real, generated = random_images(50, 1, 4, 4), random_images(50, 1, 4, 4, seed=1) ** 2
    traces = [float(torch.cov(x.flatten(1).double().T).trace()) for x in (generated, real)]
    value = VarianceRatio().compute(ComparedImages(real, generated), scoring)
    assert value.value == pytest.approx(traces[0] / traces[1], rel=1e-6)


def test_the_standard_error_of_a_ratio_is_its_spread_over_repetitions() -> None:
    generator = torch.Generator().manual_seed(0)
    ratios, errors = [], []
    for _ in range(400):
        below = 1 + torch.rand(60, generator=generator)
        above = 0.5 * below + 0.2 * torch.randn(60, generator=generator)
        value = ratio_of_means(above, below, "")
        ratios.append(value.value)
        errors.append(value.stderr)
    assert float(torch.tensor(ratios).mean()) == pytest.approx(0.5, abs=0.005)
    assert float(torch.tensor(ratios).std()) == pytest.approx(sum(errors) / 400, rel=0.1)


# ------------------------------------------------------------------------------------------ samples
def posterior(k: int, scale: float, n: int = 3000) -> ComparedImages:
    """Make images x = m + e and draws m + scale e' with e, e' independent of one law."""
    generator = torch.Generator().manual_seed(5)

    def noise(*shape: int) -> Tensor:
        return 0.2 * (torch.rand(shape, generator=generator) - 0.5)

    mean = 0.3 + 0.4 * torch.rand(n, 1, 1, 4, 4, generator=generator)
    real = mean + noise(n, 1, 1, 4, 4)
    samples = mean + scale * noise(n, k, 1, 4, 4)
    return ComparedImages(real[:, 0], mean[:, 0], samples=samples)


@pytest.mark.parametrize("k", [2, 8])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_posterior_sampling_doubles_the_error(k: int, scale: float, scoring: ScoreContext) -> None:
    pairs = posterior(k, scale)
    value = SampleMSERatio().compute(pairs, scoring)
    assert value.value == pytest.approx(1 + scale**2, abs=4 * (value.stderr or 0) + 1e-6)
    variance = ConditionalVariance().compute(pairs, scoring)
    assert variance.value == pytest.approx((0.2 * scale) ** 2 / 12, rel=0.02, abs=1e-12)


def test_a_deterministic_decoder_has_no_samples(scoring: ScoreContext) -> None:
    real = random_images(3, 1, 8, 8)
    for metric in (SampleMSERatio(), ConditionalVariance()):
        with pytest.raises(Undefined, match="deterministic"):
            metric.compute(ComparedImages(real, real), scoring)
        bad = ComparedImages(real, real, samples=2 * real.unsqueeze(1) - 1)
        with pytest.raises(ValueError, match=r"'samples' has values .*wanted \[0, 1\]"):
            metric.compute(bad, scoring)
    with pytest.raises(Undefined, match="no code"):
        Compression().compute(ComparedImages(real, real), scoring)


def test_the_task_hands_samples_and_dimension_on(blobs: ImageDataset, short) -> None:
    ctx = ScoreContext(torch.device("cpu"), 0, blobs, sample=20, batch_size=16)
    random = NOTAE(gamma=0.5, noise_count=2, decode_draws=2)
    random.fit(blobs, short)
    pairs = Reconstruction().run(random, blobs, ctx)
    assert pairs.samples is not None
    assert pairs.samples.shape == (20, DRAWS, 1, 32, 32)
    assert SampleMSERatio().compute(pairs, ctx).value > 1
    assert Compression().compute(pairs, ctx).value == 4
    again = Reconstruction().run(random, blobs, ScoreContext(torch.device("cpu"), 9, blobs, 20))
    torch.testing.assert_close(again.samples, pairs.samples)
    plain = AE()
    plain.fit(blobs, short)
    assert Reconstruction().run(plain, blobs, ctx).samples is None


def test_the_slides_bottleneck_compresses_48_times(short) -> None:
    """3,072 numbers of an RGB image of 32x32 to 64."""
    gray = tiny_images((16, 8, 8))
    colour = [
        part.images.expand(-1, 3, -1, -1) for part in (gray.train, gray.validation, gray.test)
    ]
    data = ImageDataset("rgb", "tiny", *map(type(gray.train), colour), sha256="0" * 64)
    method = NOTAE(latent=4)
    method.fit(data, short)
    ctx = ScoreContext(torch.device("cpu"), 0, data)
    value = Compression().compute(Reconstruction().run(method, data, ctx), ctx)
    assert (value.value, value.n) == (48, 64)


# ------------------------------------------------------------------------------------ the boundary
@pytest.mark.usefixtures("lpips_weights")
@pytest.mark.parametrize(
    "metric",
    [MSE(), PSNR(), SSIM(), LPIPS(), FID(), KID("lenet"), LaplacianRatio(), VarianceRatio()],
    ids=lambda metric: metric.id,
)
def test_images_on_minus_one_to_one_are_told_so(metric: Metric, scoring: ScoreContext) -> None:
    real = random_images(6, 3, 32, 32)
    message = r"values from -.*wanted \[0, 1\]; rescale images on \[-1, 1\] with \(x"
    with pytest.raises(ValueError, match=message):
        metric.compute(ComparedImages(real, 2 * real - 1), scoring)
    with pytest.raises(ValueError, match=r"wanted \[0, 1\]$"):
        metric.compute(ComparedImages(real, 255 * real), scoring)


@pytest.mark.usefixtures("lpips_weights")
@pytest.mark.parametrize(
    "metric",
    [PSNR(), SSIM(), LPIPS(), FID(), LaplacianRatio(), VarianceRatio()],
    ids=lambda metric: metric.id,
)
def test_colour_of_32_pixels_is_scored_and_counts(metric: Metric, scoring: ScoreContext) -> None:
    real, other = random_images(200, 3, 32, 32), random_images(200, 3, 32, 32, seed=1)
    close = real + 0.2 * (other - real)
    values = [
        metric.compute(ComparedImages(real, generated), scoring).value
        for generated in (close, other)
    ]
    assert all(map(torch.isfinite, torch.tensor(values)))
    assert values[0] != pytest.approx(values[1], rel=1e-3)
    # The channels are not mixed up: red for blue makes a difference to all that compare pixels.
    if metric.id in ("psnr", "lpips[alex]") or metric.id.startswith("ssim"):
        swapped = metric.compute(ComparedImages(real, real.flip(1)), scoring).value
        same = metric.compute(ComparedImages(real, real.clone()), scoring).value
        assert abs(swapped - same) > 0.01
