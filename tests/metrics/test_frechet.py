"""Fréchet and kernel distances against pytorch-fid, closed forms and brute force."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from safetensors.torch import load_file
from torch import Tensor

from otbench.assets import store
from otbench.interface import ImageDataset
from otbench.interface.artefacts import ComparedImages, Paths
from otbench.interface.metric import Undefined
from otbench.interface.scoring import ScoreContext
from otbench.metrics import features
from otbench.metrics.frechet import FID, KID, frechet_distance, kernel_distance


def samples(n: int, d: int, decades: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw two samples whose covariances span 10^(2 decades), in different bases."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.logspace(0, -decades, d, dtype=torch.float64)
    drawn = []
    for shift in (0.0, 0.3):
        basis = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
        normal = torch.randn(n, d, generator=generator, dtype=torch.float64)
        drawn.append(normal * scale @ basis + shift)
    return drawn[0], drawn[1]


def by_pytorch_fid(a: Tensor, b: Tensor) -> float:
    moments = [(x.numpy().mean(0), np.cov(x.numpy(), rowvar=False)) for x in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(calculate_frechet_distance(*moments[0], *moments[1]))


@pytest.mark.parametrize("decades", [0, 1, 3])
@pytest.mark.parametrize("d", [4, 84])
def test_frechet_is_that_of_pytorch_fid(d: int, decades: float) -> None:
    a, b = samples(400, d, decades)
    assert frechet_distance(a, b) == pytest.approx(by_pytorch_fid(a, b), rel=1e-6)


def test_frechet_of_singular_covariances_is_that_of_pytorch_fid() -> None:
    a, b = samples(40, 64, 1)
    assert frechet_distance(a, b) == pytest.approx(by_pytorch_fid(a, b), rel=1e-6)


def test_frechet_of_commuting_gaussians_has_a_closed_form() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(500, 6, generator=generator, dtype=torch.float64)
    white = torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(x.T)), (x - x.mean(0)).T, upper=False
    ).T
    s, t = torch.logspace(0, -7, 6, dtype=torch.float64), torch.linspace(0, 1, 6).double()
    got = frechet_distance(white * s, white * t + 2.0)
    assert got == pytest.approx(float((s - t).square().sum()) + 6 * 4.0, rel=1e-12)


def test_frechet_does_not_lose_flat_directions() -> None:
    # Rank 3 in 50 dimensions: the same data in its own 3 dimensions has the same distance.
    a, b = samples(30, 3, 2)
    basis = torch.linalg.qr(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)))
    embed = basis.Q.double().T
    embed = torch.linalg.qr(embed.T).Q.T
    assert frechet_distance(a @ embed, b @ embed) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_frechet_of_equal_samples_is_zero() -> None:
    a, _ = samples(100, 10, 2)
    assert 0 <= frechet_distance(a, a) < 1e-12
    with pytest.raises(Undefined, match="at least 2"):
        frechet_distance(a[:1], a)


def test_kernel_distance_is_the_double_sum() -> None:
    a, b = samples(12, 5, 1)
    b = b[:9]

    def k(x: Tensor, y: Tensor) -> float:
        return float((x @ y / 5 + 1) ** 3)

    within_a = np.mean([k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    within_b = np.mean([k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    between = np.mean([k(x, y) for x in a for y in b])
    value, _ = kernel_distance(a, b)
    assert value == pytest.approx(within_a + within_b - 2 * between, rel=1e-10)


def test_kernel_distance_is_unbiased_and_its_error_is_honest() -> None:
    generator = torch.Generator().manual_seed(7)
    null = [
        kernel_distance(*torch.randn(2, 40, 3, generator=generator).unbind())[0] for _ in range(400)
    ]
    assert abs(np.mean(null)) < 4 * np.std(null) / 20
    shifted = torch.tensor(
        [
            kernel_distance(
                torch.randn(80, 3, generator=generator),
                torch.randn(80, 3, generator=generator) + 0.7,
            )
            for _ in range(400)
        ]
    )
    value, stderr = shifted.unbind(1)
    assert float(stderr.mean()) == pytest.approx(float(value.std()), rel=0.2)


@pytest.mark.parametrize(
    ("n", "m", "shift", "paired"),
    [
        (60, 60, 0.0, False),
        (60, 180, 0.0, False),
        (60, 180, 0.3, False),
        (60, 60, 0.3, True),
        (60, 60, 1.0, True),
    ],
)
def test_the_error_of_the_kernel_distance_is_its_spread_over_samples(
    n: int, m: int, shift: float, paired: bool
) -> None:
    """Paired samples are less uncertain by far: taken as independent they would be 3 times off."""
    generator = torch.Generator().manual_seed(8)
    found = []
    for _ in range(300):
        a = torch.randn(n, 8, generator=generator, dtype=torch.float64)
        b = torch.randn(m, 8, generator=generator, dtype=torch.float64)
        b = (a + 0.3 * b if paired else b) + shift
        found.append(kernel_distance(a, b, paired))
    value, stderr = torch.tensor(found).unbind(1)
    assert float(stderr.square().mean().sqrt()) == pytest.approx(float(value.std()), rel=0.25)


def test_lenet_tells_digits_from_noise(scoring: ScoreContext) -> None:
    from sklearn.datasets import load_digits

    scoring.batch_size = 100
    digits = torch.from_numpy(load_digits().images[:400]).float().unsqueeze(1) / 16
    digits = torch.nn.functional.interpolate(digits, 32, mode="bilinear").clamp(0, 1)
    noise = torch.rand(200, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    near = FID().compute(ComparedImages(digits[:200], digits[200:], paired=False), scoring)
    far = FID().compute(ComparedImages(digits[:200], noise, paired=False), scoring)
    assert near.value < far.value / 5
    assert (near.n, near.stderr) == (200, None)
    rgb = digits.expand(-1, 3, -1, -1)
    same = FID().compute(ComparedImages(rgb[:200], rgb[200:], paired=False), scoring)
    assert same.value == pytest.approx(near.value, rel=1e-3)


def test_midpoints_stand_for_paths_and_n_cuts(scoring: ScoreContext) -> None:
    real, generated = torch.rand(2, 50, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    scoring.batch_size = 20
    middle = ComparedImages(real, generated, paired=False)
    paths = Paths(real, real, real.unsqueeze(1), torch.zeros(1), middle)
    whole = FID().compute(paths, scoring)
    assert whole == FID().compute(middle, scoring)
    cut = FID(n=20).compute(paths, scoring)
    assert cut == FID().compute(ComparedImages(real[:20], generated[:20]), scoring)
    assert (whole.n, cut.n) == (50, 20)


def test_names_carry_the_protocol(blobs: ImageDataset) -> None:
    assert FID().id == "fid[lenet]"
    assert FID("inception").id == FID("inception-2048").id == "fid[inception-2048]"
    assert KID("inception").id == "kid[inception-2048]"
    assert FID("inception", n=1000).id == "fid[inception-2048,n=1000]"
    assert (FID().assets, KID().assets) == ((), ("inception-fid",))
    with pytest.raises(ValueError, match="one of lenet, inception-64"):
        FID("vgg")
    wide = ImageDataset("w", "t", *[type(blobs.train)(torch.zeros(2, 1, 64, 64))] * 3, "0")
    assert "32x32" in str(FID().missing(wide))
    assert FID("inception").missing(wide) is None


@pytest.mark.parametrize("dimension", [64, 2048])
def test_inception_is_the_network_of_pytorch_fid(
    inception_folder: Path,
    dimension: int,
    scoring: ScoreContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from pytorch_fid import inception as package

    def offline(*_: object, **__: object) -> None:
        raise AssertionError("tried to download")

    state = load_file(inception_folder / features.INCEPTION_WEIGHTS)
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    monkeypatch.setattr(package, "load_state_dict_from_url", lambda *_, **__: state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = package.InceptionV3([package.InceptionV3.BLOCK_INDEX_BY_DIM[dimension]]).eval()
    monkeypatch.setattr(store, "require", {"inception-fid": inception_folder}.__getitem__)
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = theirs(images.expand(-1, 3, -1, -1))[0].mean((2, 3))
    name = f"inception-{dimension}"
    got = features.features_of(images, name, scoring, keep=True)
    assert got.shape == (2, dimension)
    assert torch.allclose(got, wanted, atol=1e-5)
    monkeypatch.setattr(features, "load_extractor", offline)
    fresh = ScoreContext(scoring.device, 0, scoring.data)
    assert torch.equal(features.features_of(images.clone(), name, fresh, keep=True), got)
    with pytest.raises(AssertionError, match="download"):
        features.features_of(images + 1e-6, name, fresh, keep=True)
