"""The path-energy autoencoder on blobs."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from otbench.errors import UsageError
from otbench.interface import Split
from otbench.interface.training import Budget, FitContext
from otbench.ot.dynamic.path_energy import image_energy
from otbench_methods.autoencoders.path_energy import PathEnergyAE


class Recorder(FitContext):
    """A context that keeps the losses of every step, not of two a second."""

    def __init__(self, steps: int) -> None:
        super().__init__(Budget(steps=steps, batch_size=16))
        self.history = []

    def progress(self, step, **losses):
        self.history.append({name: float(value.detach()) for name, value in losses.items()})


def trained(data, steps: int = 100, **parameters):
    context = Recorder(steps)
    method = PathEnergyAE(**parameters)
    method.fit(data, context)
    return method, context.history


@pytest.fixture(scope="module")
def small(blobs):
    """Return the blobs at 16x16 pixels, four times as fast to train on."""

    def halved(split):
        return Split(torch.nn.functional.avg_pool2d(split.images, 2))

    return dataclasses.replace(
        blobs,
        train=halved(blobs.train),
        validation=halved(blobs.validation),
        test=halved(blobs.test),
    )


@pytest.fixture(scope="module")
def pair(small):
    """Train with and without the energy, from the same start on the same batches."""
    settings = {"intervals": 5, "beta": 0.0, "warmup": 0.0}
    return [trained(small, alpha=alpha, **settings) for alpha in (10.0, 0.0)]


def path_cost(method, images) -> float:
    with torch.no_grad():
        paths = method.interpolate(images[:32], images[32:64], torch.linspace(0, 1, 6))
    return float(image_energy(paths, tau=10.0).mean())


def test_losses_fall(pair):
    _, history = pair[0]
    assert set(history[0]) == {"reconstruction", "energy", "mass"}
    assert history[-1]["reconstruction"] < 0.7 * history[0]["reconstruction"]


def test_energy_of_the_paths_is_lower_than_without(pair, small):
    with_energy, without = (path_cost(method, small.test.images) for method, _ in pair)
    assert with_energy < 0.9 * without


def test_all_codes_move_under_the_energy_alone(small):
    # alpha reaches the encoder through the frames between the ends
    one, _ = trained(small, steps=2, alpha=3.0, warmup=0.0, intervals=3)
    other, _ = trained(small, steps=2, alpha=0.0, intervals=3)
    images = small.test.images[:4]
    assert not torch.equal(one.encode(images), other.encode(images))


def test_warmup_starts_without_the_energy(small):
    one, history = trained(small, steps=1, alpha=3.0)
    other, same = trained(small, steps=1, alpha=0.0)
    images = small.test.images[:4]
    assert torch.equal(one.encode(images), other.encode(images))
    assert history == same


@pytest.mark.parametrize(
    "parameters",
    [
        {"balanced": True},
        {"boundary": "open", "averaging": "left"},
        {"boundary": "periodic", "balanced": True},
        {"intervals": 1},
        {"pairs": 40},
        {"likelihood": "gaussian"},
        {"stem": 3, "widening": 2},
    ],
    ids=str,
)
def test_variants_train(small, parameters):
    _, history = trained(small, steps=2, **parameters)
    assert all(torch.tensor(list(losses.values())).isfinite().all() for losses in history)


def test_save_and_load_give_the_same_codes(pair, small, tmp_path):
    method, _ = pair[0]
    method.save(tmp_path)
    again = PathEnergyAE.load(tmp_path)
    images = small.test.images[:8]
    assert torch.equal(method.encode(images), again.encode(images))
    assert again.parameters() == method.parameters()


def test_paper_settings_are_parameters():
    paper = PathEnergyAE.card.paper
    method = PathEnergyAE(**paper.parameters)
    assert method.bare_network((1, 32, 32)).encoder[0].kernel_size == (3, 3)
    count = sum(p.numel() for p in method.bare_network((1, 32, 32)).parameters())
    assert count == 258_704 + 83_329  # the release's encoder and decoder


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -1.0}, "alpha must be at least 0"),
        ({"pairs": 0}, "pairs must be at least 1"),
        ({"intervals": 0}, "intervals must be at least 1"),
        ({"tau": 0.0}, "tau must be above 0"),
        ({"floor": 0.0}, "floor must be above 0"),
        ({"warmup": 2.0}, "warmup must be from 0 to 1"),
        ({"boundary": "neumann"}, "boundary must be"),
        ({"averaging": "right"}, "averaging must be"),
        ({"alpha": float("nan")}, "alpha must be a finite number"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(UsageError, match=message):
        PathEnergyAE(**parameters)


def test_the_energy_on_a_coarser_grid_is_in_pixels_of_the_image(blobs):
    x = blobs.test.images[:6].repeat_interleave(2, -1).repeat_interleave(2, -2)
    paths = torch.stack([x[:3], x[3:]], 1)
    whole = PathEnergyAE(grid=0, tau=40.0)._energy(paths[..., ::2, ::2], None)
    coarse = PathEnergyAE(grid=32, tau=160.0)._energy(paths, None)
    assert float(coarse) == pytest.approx(4 * float(whole), rel=1e-6)


def test_a_grid_that_does_not_fit_is_a_reason_to_skip(blobs):
    def upscaled(split):
        return Split(split.images.repeat_interleave(2, -1).repeat_interleave(2, -2))

    large = dataclasses.replace(blobs, train=upscaled(blobs.train))
    assert PathEnergyAE(grid=32).skip(blobs) is None
    assert PathEnergyAE(grid=32).skip(large) is None
    assert "64x64 cannot be averaged down to 24x24" in PathEnergyAE(grid=24).skip(large)
    walls = torch.zeros(64, 64, dtype=torch.bool)
    walled = dataclasses.replace(large, obstacles=walls)
    assert "walls one pixel thick vanish" in PathEnergyAE(grid=32).skip(walled)
    assert PathEnergyAE().skip(walled) is None
    with pytest.raises(UsageError, match="grid must be at least 0"):
        PathEnergyAE(grid=-1)
