"""The method w2-icnn on small images."""

from __future__ import annotations

import pytest
import torch

from otbench.interface.training import Budget, Diverged, FitContext
from otbench_methods.autoencoders.ae import AE
from otbench_methods.autoencoders.w2_icnn import W2ICNN

SMALL = {"hidden": (32,), "amortizer_hidden": (16,), "map_batch": 64}


@pytest.fixture(scope="module")
def reports() -> list[tuple[int, dict[str, float]]]:
    return []


@pytest.fixture(scope="module")
def method(blobs, reports) -> W2ICNN:
    ctx = FitContext(
        Budget(steps=12, batch_size=16),
        seed=0,
        on_progress=lambda step, steps, seconds, losses: reports.append((step, losses)),
    )
    fitted = W2ICNN(**SMALL)
    fitted.fit(blobs, ctx)
    return fitted


def test_backbone_is_the_plain_autoencoder(method, blobs):
    plain = AE()
    plain.fit(blobs, FitContext(Budget(steps=12, batch_size=16), seed=0))
    for name, value in plain.network_.state_dict().items():
        torch.testing.assert_close(method.network_.state_dict()[name], value)


def test_decode_of_encode_is_the_backbone_s_reconstruction(method, blobs):
    x = blobs.test.images
    plain = method.network_.decode(method.network_.encode(x))
    codes = method.encode(x)
    assert codes.shape == (len(x), 256)
    torch.testing.assert_close(method.decode(codes), plain, atol=2e-3, rtol=0)


def test_the_map_trains_away_from_its_start(method, blobs):
    """Its parameters move, and codes keep mean 0 and variance 1 on the data it was made from."""
    potential = method.map_.map.parameters.potential
    assert float(abs(potential["log_curvature"]).max()) > 1e-3
    assert float(potential["output_norms"].max()) > 0
    codes = method.encode(blobs.train.images)
    assert float(codes.mean().abs()) < 0.2


def test_both_phases_report_their_own_losses(method, reports):
    names = [set(losses) for _, losses in reports]
    assert {"reconstruction"} in names
    assert names[-1] == {"map_dual", "map_amortization", "map_residual"}
    assert reports[-1][0] == 12


def test_interpolation_ends_at_the_reconstructions(method, blobs):
    x0, x1 = blobs.test.images[:3], blobs.test.images[3:6]
    path = method.interpolate(x0, x1, torch.linspace(0, 1, 5))
    assert path.shape == (3, 5, 1, 32, 32)
    assert 0 <= float(path.min()) <= float(path.max()) <= 1
    for frame, x in ((path[:, 0], x0), (path[:, -1], x1)):
        plain = method.network_.decode(method.network_.encode(x))
        torch.testing.assert_close(frame, plain, atol=2e-3, rtol=0)


def test_samples_follow_the_generator(method):
    first, again, other = (
        method.sample(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (5, 1, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_save_and_load(method, blobs, tmp_path):
    method.save(tmp_path)
    again = W2ICNN.load(tmp_path)
    assert again.parameters() == method.parameters()
    codes = method.encode(blobs.test.images[:8])
    # the whitening stretches rounding that differs with the memory format
    torch.testing.assert_close(again.encode(blobs.test.images[:8]), codes, atol=5e-3, rtol=0)
    torch.testing.assert_close(again.decode(codes), method.decode(codes), atol=1e-4, rtol=0)


def test_same_seed_same_codes(method, blobs):
    other = W2ICNN(**SMALL)
    other.fit(blobs, FitContext(Budget(steps=12, batch_size=16), seed=0))
    x = blobs.test.images[:8]
    torch.testing.assert_close(other.encode(x), method.encode(x), rtol=0, atol=0)


def test_no_seconds_left_keeps_the_closed_form_map(blobs):
    fitted = W2ICNN(**SMALL)
    fitted.fit(blobs, FitContext(Budget(steps=4, batch_size=16, seconds=0.0), seed=0))
    assert float(abs(fitted.map_.map.parameters.potential["output0"]).max()) == 0


def test_a_diverging_map_says_so(blobs):
    fitted = W2ICNN(**SMALL, map_lr=1e30)
    with pytest.raises(Diverged):
        fitted.fit(blobs, FitContext(Budget(steps=4, batch_size=16), seed=0))


@pytest.mark.gpu
def test_codes_stay_on_the_gpu(blobs):
    fitted = W2ICNN(**SMALL)
    fitted.fit(blobs, FitContext(Budget(steps=4, batch_size=16), seed=0, device="cuda"))
    codes = fitted.encode(blobs.test.images.cuda())
    assert codes.is_cuda
    assert fitted.decode(codes).is_cuda
