"""The plain autoencoder, and what it shares with every method that trains the matched backbone."""

import dataclasses

import pytest
import torch

from otbench.interface import Budget, Diverged, FitContext, Split
from otbench_methods.autoencoders.acai import ACAI
from otbench_methods.autoencoders.ae import AE
from otbench_methods.autoencoders.not_ae import NOTAE
from otbench_methods.autoencoders.vae import VAE

METHODS = [AE, VAE, ACAI, NOTAE]


def fitted(method, data, steps=6, seed=0, **kwargs):
    method.fit(data, FitContext(Budget(steps, batch_size=16), seed=seed, **kwargs))
    return method


def reconstruction_error(method, data) -> float:
    x = data.test.images
    return float(((method.decode(method.encode(x)) - x) ** 2).mean())


@pytest.fixture(scope="module")
def coloured(blobs):
    """Return the blobs in three colours, on images that are not square."""
    splits = {}
    for name in ("train", "validation", "test"):
        split = getattr(blobs, name)
        gray = split.images[:, :, :, 8:]
        splits[name] = Split(torch.cat([gray, 0.5 * gray, 1 - gray], dim=1), split.labels)
    return dataclasses.replace(blobs, **splits)


@pytest.mark.parametrize("method", METHODS)
def test_training_lowers_the_reconstruction_error(method, blobs):
    start = reconstruction_error(fitted(method(), blobs, steps=0), blobs)
    end = reconstruction_error(fitted(method(), blobs, steps=25), blobs)
    constant = float(blobs.test.images.var())
    assert end < 0.5 * start
    assert end < 1.3 * constant


@pytest.mark.parametrize("method", METHODS)
def test_one_seed_gives_one_result_and_two_seeds_give_two(method, blobs):
    x = blobs.test.images[:8]
    first, again, other = (
        fitted(method(), blobs, steps=3, seed=seed).encode(x) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("method", METHODS)
def test_saving_and_loading_change_nothing(method, blobs, tmp_path):
    trained = fitted(method(lr=1e-3), blobs, steps=2)
    trained.save(tmp_path)
    restored = method.load(tmp_path)
    assert restored.parameters() == trained.parameters()
    x = blobs.test.images[:8]
    z = trained.encode(x)
    assert torch.equal(restored.encode(x), z)
    assert torch.equal(restored.decode(z), trained.decode(z))
    assert not any(file.suffix in (".pt", ".pkl") for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    "make",
    [
        *METHODS,
        lambda: AE(likelihood="gaussian"),
        lambda: VAE(likelihood="gaussian"),
        lambda: ACAI(likelihood="gaussian"),
        lambda: NOTAE(squash=False, cost="l1"),
    ],
)
def test_colours_and_oblong_images(make, coloured):
    trained = fitted(make(), coloured, steps=2)
    x = coloured.test.images[:4]
    z = trained.encode(x)
    assert z.shape == (4, 16 * 4 * 3)
    path = trained.interpolate(x[:2], x[2:], torch.linspace(0, 1, 3))
    assert path.shape == (2, 3, 3, 32, 24)
    assert path.min() >= 0
    assert path.max() <= 1
    torch.testing.assert_close(path[:, 0], trained.decode(z[:2]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(path[:, 2], trained.decode(z[2:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_code_does_not_depend_on_its_batch(method, blobs):
    trained = fitted(method(), blobs, steps=2)
    x = blobs.test.images[:6]
    torch.testing.assert_close(trained.encode(x[2:3]), trained.encode(x)[2:3])


@pytest.mark.parametrize("method", METHODS)
def test_cards_name_their_source_and_settings_that_exist(method):
    card = method.card
    assert "arXiv" in card.source
    assert card.equations
    assert card.deviations
    assert card.paper is not None
    native = method(**card.paper.parameters)
    assert native.lr == 1e-4
    assert native.schedule == "constant"
    for field in dataclasses.fields(method):
        assert field.metadata["doc"]
        assert field.metadata["origin"]


@pytest.mark.parametrize("method", METHODS)
def test_authors_settings_train(method, blobs):
    fitted(method(**method.card.paper.parameters), blobs, steps=2)


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_is_not_a_number_stops_the_training(method, blobs):
    poisoned = Split(torch.full_like(blobs.train.images, torch.nan))
    with pytest.raises(Diverged):
        fitted(method(), dataclasses.replace(blobs, train=poisoned), steps=1)


@pytest.mark.parametrize("method", METHODS)
def test_odd_sides_are_skipped_with_the_reason(method, blobs):
    small = dataclasses.replace(blobs, train=Split(torch.zeros(4, 1, 28, 28)))
    assert method().skip(blobs) is None
    assert "multiples of 8, got 28x28" in method().skip(small)


def test_methods_share_the_start_of_the_network(blobs):
    starts = [fitted(m(), blobs, steps=0).network_.state_dict() for m in (AE, ACAI, NOTAE)]
    for name, value in starts[0].items():
        assert torch.equal(value, starts[1][name])
        assert torch.equal(value, starts[2][name])
