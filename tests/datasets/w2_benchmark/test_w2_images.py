"""The image pairs: small checkpoints of the release's layout, read as torch evaluates them."""

from __future__ import annotations

import pickle
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional

from otbench.errors import DataError, UsageError
from otbench_datasets.w2_benchmark.base import KnownMap
from otbench_datasets.w2_benchmark.image_pairs import NOISE, BenchmarkImages, checkpoint_images
from otbench_datasets.w2_benchmark.w2_images import W2Images

pytestmark = pytest.mark.usefixtures("compile_quickly", "strict_dtypes")

SMALL = {"side": 16, "widths": (4, 5, 6, 7), "rank": 2}
RELEASED = {"side": 64, "widths": (128, 256, 512, 1024), "rank": 4}
SMALL_BLOCKS = (6, 6, 6, 4, 3, 3)
RELEASED_BLOCKS = (512,) * 4 + (256, 256, 128, 128, 64, 64)
State = dict[str, torch.Tensor]


def potential_state(seed: int, side: int, widths: tuple[int, ...], rank: int) -> State:
    """Random weights under the names of the release's ConvICNN64, not negative where it matters."""
    a, b, c, d = widths
    shapes = {
        "convex_layers.0.weight": (b, a, 4, 4),
        "convex_layers.0.bias": (b,),
        "quadratic_layers.0.quadratic_decomposed.weight": (rank * a, 3, 4, 4),
        "quadratic_layers.0.linear.weight": (a, 3, 4, 4),
        "quadratic_layers.1.quadratic_decomposed.weight": (rank * b, 3, 7, 7),
        "quadratic_layers.1.linear.weight": (b, 3, 7, 7),
        "pos_features.1.weight": (c, b, 4, 4),
        "pos_features.1.bias": (c,),
        "pos_features.4.weight": (d, c, 4, 4),
        "pos_features.4.bias": (d,),
        "pos_features.7.weight": (1, d, side // 16, side // 16),
        "pos_features.7.bias": (1,),
    }
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        drawn = torch.randn(*shape, generator=generator)
        fan_in = drawn[0].numel()
        if name.endswith("bias"):
            state[name] = 0.5 * drawn - 0.3  # units on both sides of 0, where activations bend
        elif name.startswith("quadratic"):
            state[name] = drawn / fan_in**0.5
        else:
            state[name] = 2 * drawn.abs() / fan_in
    return state


def generator_state(seed: int, widths: tuple[int, ...], codes: int) -> State:
    """Random weights under the names of the release's generator, running moments among them."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def put(name: str, *shape: int) -> None:
        drawn = torch.randn(*shape, generator=generator)
        state[name] = drawn / drawn[0].numel() ** 0.5

    def norm(name: str, width: int) -> None:
        state[f"{name}.weight"] = 1 + 0.2 * torch.randn(width, generator=generator)
        state[f"{name}.bias"] = 0.2 * torch.randn(width, generator=generator)
        state[f"{name}.running_mean"] = 0.2 * torch.randn(width, generator=generator)
        state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(100)

    before = widths[0]
    put("fc.weight", 16 * before, codes)
    put("fc.bias", 16 * before)
    norm("bn1d", 16 * before)
    for k, width in enumerate(widths):
        name = f"resnet.{k // 2 * 3 + k % 2}"
        hidden = min(before, width)
        put(f"{name}.conv_0.weight", hidden, before, 3, 3)
        norm(f"{name}.bn2d_0", hidden)
        put(f"{name}.conv_1.weight", width, hidden, 3, 3)
        norm(f"{name}.bn2d_1", width)
        if before != width:
            put(f"{name}.conv_s.weight", width, before, 1, 1)
            norm(f"{name}.bn2d_s", width)
        before = width
    put("conv_img.weight", 3, before, 3, 3)
    put("conv_img.bias", 3)
    return state


def potential_in_torch(state: State, x: torch.Tensor, side: int, rank: int) -> torch.Tensor:
    """The layers of the release's ConvICNN64 in evaluation, on flat points."""
    images = x.view(-1, 3, side, side)

    def quadratic(k: int, stride: int, padding: int) -> torch.Tensor:
        parts = [
            f"quadratic_layers.{k}.{part}.weight" for part in ("quadratic_decomposed", "linear")
        ]
        factors, linear = (
            functional.conv2d(images, state[p], None, stride, padding) for p in parts
        )
        return factors.square().unflatten(1, (-1, rank)).sum(2) + linear

    def layer(name: str, units: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        weight, bias = state[name + ".weight"], state[name + ".bias"]
        return functional.conv2d(units, weight, bias, stride, padding)

    units = torch.celu(layer("convex_layers.0", quadratic(0, 2, 1), 2, 1) + quadratic(1, 4, 2))
    units = torch.celu(layer("pos_features.1", units, 2, 1), 0.2)
    units = torch.celu(layer("pos_features.4", units, 2, 1), 0.2)
    return layer("pos_features.7", units, 1, 0).flatten() + 0.005 * x.square().sum(1)


def images_in_torch(state: State, z: torch.Tensor, blocks: int) -> torch.Tensor:
    """The release's generator in evaluation, to flat points."""

    def norm(name: str, units: torch.Tensor) -> torch.Tensor:
        mean, variance = state[name + ".running_mean"], state[name + ".running_var"]
        return functional.batch_norm(
            units, mean, variance, state[name + ".weight"], state[name + ".bias"]
        )

    def bent(units: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(units, 0.2)

    units = functional.linear(z, state["fc.weight"], state["fc.bias"])
    units = bent(norm("bn1d", units)).view(len(z), -1, 4, 4)
    for k in range(blocks):
        name = f"resnet.{k // 2 * 3 + k % 2}"
        if k and k % 2 == 0:
            units = functional.interpolate(units, scale_factor=2)
        branch = functional.conv2d(units, state[name + ".conv_0.weight"], padding=1)
        branch = bent(norm(name + ".bn2d_0", branch))
        branch = functional.conv2d(branch, state[name + ".conv_1.weight"], padding=1)
        branch = norm(name + ".bn2d_1", branch)
        if name + ".conv_s.weight" in state:
            units = norm(name + ".bn2d_s", functional.conv2d(units, state[name + ".conv_s.weight"]))
        units = bent(units + 0.1 * branch)
    last = functional.conv2d(units, state["conv_img.weight"], state["conv_img.bias"], padding=1)
    return torch.tanh(last).flatten(1)


def write(folder: Path, stage: str = "Early") -> Path:
    torch.save(generator_state(0, SMALL_BLOCKS, 8), folder / "Final_G.pt")
    for k in (1, 2):
        torch.save(potential_state(k, **SMALL), folder / f"{stage}_v{k}.pt")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("celeba"))


@pytest.fixture(scope="module")
def pair(folder: Path) -> BenchmarkImages:
    return checkpoint_images(folder, "early")


@pytest.fixture(scope="module")
def data(folder: Path) -> KnownMap:
    loaded = W2Images("early", str(folder)).load()
    assert isinstance(loaded, KnownMap)
    return loaded


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def check_against_torch(pair: BenchmarkImages, states: list[State], n: int, blocks: int) -> None:
    generator, first, second = states
    z = torch.randn(n, pair.generator.codes, generator=seeded(1))
    x = images_in_torch(generator, z, blocks)
    images = jax.jit(lambda codes: pair.generator(codes))(z.numpy())
    np.testing.assert_allclose(images, x, atol=2e-5)
    x.requires_grad_()
    side, rank = pair.shape[1], len(first["quadratic_layers.0.quadratic_decomposed.weight"])
    rank //= len(first["quadratic_layers.0.linear.weight"])
    value = (
        potential_in_torch(first, x, side, rank) + potential_in_torch(second, x, side, rank)
    ) / 2
    (slopes,) = torch.autograd.grad(value.sum(), x)
    points = x.detach().numpy()
    values = jax.jit(pair.potential)(points)
    np.testing.assert_allclose(values, value.detach(), rtol=1e-4, atol=1e-4)
    moved = jax.jit(pair.push)(points)
    np.testing.assert_allclose(moved, slopes, atol=1e-4 * float(slopes.abs().max()))
    network = slopes - 0.01 * x.detach()
    assert network.abs().max() > 0.3 * slopes.abs().max()  # not the quadratic alone


def test_generator_potential_and_map_are_torch_s(pair: BenchmarkImages) -> None:
    states = [generator_state(0, SMALL_BLOCKS, 8), *(potential_state(k, **SMALL) for k in (1, 2))]
    assert pair.shape == (3, 16, 16)
    check_against_torch(pair, states, 6, len(SMALL_BLOCKS))


@pytest.mark.slow
def test_files_of_the_release_s_sizes_are_read(tmp_path: Path) -> None:
    states = [generator_state(3, RELEASED_BLOCKS, 128)]
    states += [potential_state(k, **RELEASED) for k in (4, 5)]
    for name, state in zip(("Final_G", "Mid_v1", "Mid_v2"), states, strict=True):
        # the release's torch 1.3 wrote this older format
        torch.save(state, tmp_path / f"{name}.pt", _use_new_zipfile_serialization=False)
    pair = checkpoint_images(tmp_path, "mid")
    assert (pair.shape, pair.dimension, pair.generator.codes) == ((3, 64, 64), 12_288, 128)
    assert W2Images("mid", str(tmp_path)).load().variant == "default"
    check_against_torch(pair, states, 2, len(RELEASED_BLOCKS))


def test_the_map_is_the_gradient_of_a_convex_potential(
    pair: BenchmarkImages, data: KnownMap
) -> None:
    rng = np.random.default_rng(0)
    x, y = (np.float32(rng.uniform(-2, 2, (40, 768))) for _ in range(2))
    value = jax.jit(pair.potential)
    # Chords lie above the function, by more than rounding.
    for t in (0.25, 0.5, 0.75):
        chord = (1 - t) * np.asarray(value(x)) + t * np.asarray(value(y))
        assert (chord - np.asarray(value((1 - t) * x + t * y))).min() > 0
    moved = data.true_map(torch.from_numpy(x)).numpy()
    direction = np.float32(rng.normal(size=(40, 768)))
    slope = (value(x + 0.01 * direction) - value(x - 0.01 * direction)) / 0.02
    np.testing.assert_allclose((moved * direction).sum(1), slope, rtol=0.01, atol=0.02)


def test_the_source_is_the_generator_s_with_noise(tmp_path: Path) -> None:
    write(tmp_path)
    state = generator_state(0, SMALL_BLOCKS, 8)
    state["conv_img.weight"].zero_()
    torch.save(state, tmp_path / "Final_G.pt")
    x = W2Images("early", str(tmp_path)).load().source(500, seeded(2)).view(500, 3, -1)
    torch.testing.assert_close(
        x.mean((0, 2)), torch.tanh(state["conv_img.bias"]), atol=1e-3, rtol=0
    )
    assert float(x.std(0).mean()) == pytest.approx(NOISE, rel=0.02)


def test_both_kinds_of_samplers_follow_one_law(data: KnownMap) -> None:
    samplers = data.jax_samplers()
    for side, sampler in zip((data.source, data.target), samplers, strict=True):
        points = side(512, seeded(4)).numpy()
        drawn = np.asarray(jax.jit(sampler, static_argnums=1)(jax.random.key(5), 512))
        assert points.shape == drawn.shape == (512, 768)
        # Six standard errors of a difference of means.
        assert np.abs(points.mean(0) - drawn.mean(0)).max() < 6 * points.std(0).max() / 16
        assert points.var(0).sum() == pytest.approx(drawn.var(0).sum(), rel=0.15)
    moved = data.true_map(data.source(100, seeded(4))).numpy()
    np.testing.assert_allclose(moved, data.target(100, seeded(4)).numpy(), atol=1e-5)


def test_points_are_flat_images_and_follow_the_generator(data: KnownMap, folder: Path) -> None:
    assert (data.name, data.image_shape, data.dimension) == ("w2-images", (3, 16, 16), 768)
    assert data.variant == "3x16x16"
    again = W2Images("early", str(folder)).load()
    assert again.sha256 == data.sha256
    assert torch.equal(again.source(3, seeded(6)), data.source(3, seeded(6)))
    assert not torch.equal(data.source(3, seeded(7)), data.source(3, seeded(6)))
    x = data.source(70, seeded(8))
    torch.testing.assert_close(data.true_map(x[:3]), data.true_map(x)[:3])


def test_the_digest_follows_stage_and_files(folder: Path, tmp_path: Path, data: KnownMap) -> None:
    write(tmp_path, "Late")
    late = W2Images("late", str(tmp_path)).load()
    torch.save(potential_state(9, **SMALL), tmp_path / "Late_v2.pt")
    other = W2Images("late", str(tmp_path)).load()
    assert len({data.sha256, late.sha256, other.sha256}) == 3


def test_stage_folder_and_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stage must be one of early, mid, late, got 'final'"):
        W2Images("final")
    with pytest.raises(
        UsageError,
        match=r"Final_G.pt, Mid_v1.pt and Mid_v2.pt.*w2-images\[stage=mid,folder=PATH\]",
    ):
        W2Images("mid").load()
    write(tmp_path)
    (tmp_path / "Early_v1.pt").unlink()
    with pytest.raises(DataError, match=r"lacks Early_v1.pt; put the released Early_v1.pt .*Cele"):
        W2Images("early", str(tmp_path)).load()


def small_potential(**changes: object) -> State:
    return potential_state(1, **(SMALL | changes))  # type: ignore[arg-type]


def damaged(state: State, name: str, value: float | None = None) -> State:
    if value is None:
        del state[name]
    else:
        state[name].view(-1)[0] = value
    return state


NEGATIVE, NAN = -0.5, float("nan")
POTENTIALS = [
    (
        damaged(small_potential(), "pos_features.4.weight", NEGATIVE),
        "pos_features.4.weight contains ne",
    ),
    (damaged(small_potential(), "convex_layers.0.weight", NEGATIVE), "the potential is not convex"),
    (damaged(small_potential(), "quadratic_layers.1.linear.weight", NAN), "not finite"),
    (
        damaged(small_potential(), "convex_layers.0.bias"),
        r"not a ConvICNN64: missing \['convex_layers",
    ),
    (damaged(small_potential(), "pos_features.1.weight"), "not a ConvICNN64: missing"),
    (small_potential() | {"extra": torch.ones(1)}, r"unknown \['extra'\]"),
    (small_potential(side=32), r"3 channels and 16x16 pixels it should have \(1, 7, 1, 1\)"),
    (generator_state(0, SMALL_BLOCKS, 8), "not a ConvICNN64"),
]
GENERATORS = [
    (
        damaged(generator_state(0, SMALL_BLOCKS, 8), "bn1d.running_var", NEGATIVE),
        "negative variance",
    ),
    (
        damaged(generator_state(0, SMALL_BLOCKS, 8), "fc.bias", NAN),
        "fc.bias contains values that are not",
    ),
    (
        damaged(generator_state(0, SMALL_BLOCKS, 8), "resnet.4.conv_0.weight"),
        "not a ResNet generator",
    ),
    (small_potential(), "not a ResNet generator"),
]


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [("Early_v2.pt", *case) for case in POTENTIALS]
    + [("Final_G.pt", *case) for case in GENERATORS],
)
def test_files_that_are_not_what_they_should_be_are_refused(
    tmp_path: Path, name: str, state: State, message: str
) -> None:
    write(tmp_path)
    torch.save(state, tmp_path / name)
    with pytest.raises(DataError, match=message) as caught:
        W2Images("early", str(tmp_path)).load()
    assert name in str(caught.value)


class Trap:
    """Would write a file if it were unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("save", [torch.save, lambda x, f: f.write_bytes(pickle.dumps(x))])
def test_nothing_but_tensors_is_unpickled(tmp_path: Path, save) -> None:
    write(tmp_path)
    save({"fc.weight": Trap(tmp_path / "touched")}, tmp_path / "Final_G.pt")
    with pytest.raises(DataError, match=r"Final_G\.pt is not a checkpoint of tensors"):
        W2Images("early", str(tmp_path)).load()
    assert not (tmp_path / "touched").exists()
