"""The image generator of the Wasserstein-2 benchmark's source (Korotin et al. 2021, WGAN-QC)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from otbench.ot.w2.conv import ImageShape, as_points
from otbench_datasets.w2_benchmark.checkpoints import Arrays, Digest, check_tensors, read_tensors
from otbench_datasets.w2_benchmark.conv_icnn import kernel_of

FIRST_SIDE = 4
"""Side in pixels before the first doubling."""

RESIDUAL = 0.1
"""Weight of a block's residual branch; it is not stored in the files."""

SLOPE = 0.2
"""Slope of the leaky ReLUs below 0."""

EPSILON = 1e-5
"""Constant added to the variance in batch normalisation."""

NORM = ("weight", "bias", "running_mean", "running_var")
Layer = tuple[Array, Array]
"""Kernel and bias."""


def leaky_relu(x: Array) -> Array:
    """Evaluate a leaky ReLU of slope `SLOPE`."""
    return jnp.maximum(x, SLOPE * x)


def convolve(x: Array, kernel: Array) -> Array:
    """Convolve images (m, h, w, c) with a kernel (a, b, c, k), zero-padded to the same size."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


class Block(NamedTuple):
    """Two 3x3 convolutions with a shortcut, which is the identity or a 1x1 convolution."""

    first: Layer
    second: Layer
    shortcut: Layer | None

    def __call__(self, units: Array) -> Array:
        """Evaluate at (m, h, w, k)."""
        branch = leaky_relu(convolve(units, self.first[0]) + self.first[1])
        branch = convolve(branch, self.second[0]) + self.second[1]
        if self.shortcut is not None:
            units = convolve(units, self.shortcut[0]) + self.shortcut[1]
        return leaky_relu(units + RESIDUAL * branch)


class Generator(NamedTuple):
    """The ResNet generator of the release, from codes (m, z) to images in [-1, 1].

    A dense layer produces 4x4 pixels. Pairs of residual blocks follow, and after every pair except
    the last the sides are doubled by repeating pixels. A 3x3 convolution and tanh end the network.
    Batch normalisations use their running moments, as in the benchmark, and are merged into kernels
    and biases.

    Attributes
    ----------
    dense : Layer
        (z, 16 k), in the order channel, row, column, and (16 k,).
    blocks : tuple of Block
    colours : Layer
    """

    dense: Layer
    blocks: tuple[Block, ...]
    colours: Layer

    @property
    def codes(self) -> int:
        """Dimension of the codes."""
        return int(self.dense[0].shape[0])

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width of the images."""
        side = FIRST_SIDE * 2 ** (len(self.blocks) // 2 - 1)
        return int(self.colours[1].size), side, side

    def __call__(self, z: Array) -> Array:
        """Map codes (m, z) to flat images (m, c h w)."""
        units = leaky_relu(z @ self.dense[0] + self.dense[1])
        units = units.reshape(len(z), -1, FIRST_SIDE, FIRST_SIDE).transpose(0, 2, 3, 1)
        for number, block in enumerate(self.blocks):
            if number and number % 2 == 0:
                units = jnp.repeat(jnp.repeat(units, 2, axis=1), 2, axis=2)
            units = block(units)
        return as_points(jnp.tanh(convolve(units, self.colours[0]) + self.colours[1]))


def read_generator(file: Path, check: Digest | None = None) -> Generator:
    """Read a generator, with its sizes, from a file such as the release's ``Final_G.pt``.

    Raises
    ------
    ValueError
        If the file does not contain such a network, or if its tensors have inconsistent shapes,
        values that are not finite or a negative variance.
    OSError
        If the file cannot be read.
    """
    arrays = {
        name: value
        for name, value in read_tensors(file, check).items()
        if not name.endswith("num_batches_tracked")  # needed only for training
    }
    places = _places(arrays)
    check_tensors(
        file,
        arrays,
        _expected_shapes(arrays, places),
        kind="ResNet generator with batch normalisation",
        sized="given the other tensors",
    )
    for name, value in arrays.items():
        if name.endswith("running_var") and value.min() < 0:
            raise ValueError(
                f"{file}: {name} contains a negative variance ({float(value.min()):g})"
            )

    def normalised(kernel: str, norm: str, bias: str | None = None) -> tuple[np.ndarray, Array]:
        """Return a layer's weights (outputs first) and bias, merged with its normalisation."""
        weight, offset, mean, variance = (
            arrays[f"{norm}.{part}"].astype(np.float64) for part in NORM
        )
        scale = weight / np.sqrt(variance + EPSILON)
        before = 0.0 if bias is None else arrays[bias]
        kernels = arrays[kernel]
        scaled = kernels * scale.reshape(-1, *[1] * (kernels.ndim - 1))
        return scaled, jnp.asarray(offset + (before - mean) * scale, jnp.float32)

    def layer(place: int, part: str) -> Layer:
        name = f"resnet.{place}."
        weight, bias = normalised(f"{name}conv_{part}.weight", f"{name}bn2d_{part}")
        return kernel_of(weight), bias

    weight, bias = normalised("fc.weight", "bn1d", "fc.bias")
    blocks = tuple(
        Block(
            layer(place, "0"),
            layer(place, "1"),
            layer(place, "s") if f"resnet.{place}.conv_s.weight" in arrays else None,
        )
        for place in places
    )
    colours = kernel_of(arrays["conv_img.weight"]), jnp.asarray(arrays["conv_img.bias"])
    return Generator((jnp.asarray(weight.T, jnp.float32), bias), blocks, colours)


def _places(arrays: Arrays) -> list[int]:
    """Return the indices of the blocks in the release's sequence; every third layer doubles."""
    places: list[int] = []
    while f"resnet.{3 * len(places) // 2}.conv_1.weight" in arrays:
        places.append(3 * len(places) // 2)
    return places


def _expected_shapes(arrays: Arrays, places: list[int]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a generator with the file's widths, by name.

    Widths are read from the first axes; the result is empty if these are missing.
    """
    tell_widths = ["fc.weight", "conv_img.weight", *(f"resnet.{p}.conv_1.weight" for p in places)]
    if not places or len(places) % 2:
        return {}
    if not all(name in arrays and arrays[name].ndim > 1 for name in tell_widths):
        return {}
    units, colours, *widths = (len(arrays[name]) for name in tell_widths)
    shapes: dict[str, tuple[int, ...]] = {
        "fc.weight": (units, arrays["fc.weight"].shape[1]),
        "fc.bias": (units,),
        "conv_img.weight": (colours, widths[-1], 3, 3),
        "conv_img.bias": (colours,),
    }

    def normalise(name: str, width: int) -> None:
        shapes.update({f"{name}.{part}": (width,) for part in NORM})

    normalise("bn1d", units)
    before = units // FIRST_SIDE**2
    for place, width in zip(places, widths, strict=True):
        name = f"resnet.{place}."
        hidden = min(before, width)
        shapes[f"{name}conv_0.weight"] = (hidden, before, 3, 3)
        normalise(f"{name}bn2d_0", hidden)
        shapes[f"{name}conv_1.weight"] = (width, hidden, 3, 3)
        normalise(f"{name}bn2d_1", width)
        if before != width:
            shapes[f"{name}conv_s.weight"] = (width, before, 1, 1)
            normalise(f"{name}bn2d_s", width)
        before = width
    return shapes
