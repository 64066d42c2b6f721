"""The convex potentials of the image benchmark's checkpoints (Korotin et al. 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from otbench.ot.w2.conv import ImageShape, as_images, covering, cut, strided
from otbench_datasets.w2_benchmark.checkpoints import Arrays, Digest, check_tensors, read_tensors

STRONG_CONVEXITY = 1e-2
"""Default of the release's class; it is not stored in the files."""

CELU_ALPHA = 0.2
"""Alpha of the deeper activations; the first one has 1."""

REDUCTION = 16
"""Factor by which the input of the last kernel is smaller than the image."""

PLACES = tuple(f"pos_features.{place}" for place in (1, 4, 7))
"""Names of the deeper convolutions in the release's sequence of layers."""


class Skip(NamedTuple):
    """A convex quadratic layer of the image: sum over r of (factors_r * x)^2 + linear * x.

    Attributes
    ----------
    factors : Array, shape (4 stride^2 c, k r)
        The r kernels of a unit are adjacent. Like ``linear``, it is made by `cut`.
    linear : Array, shape (4 stride^2 c, k)
    stride, padding : int
    """

    factors: Array
    linear: Array
    stride: int
    padding: int

    def __call__(self, images: Array) -> Array:
        """Evaluate at images (m, h, w, c)."""
        squares = strided(images, self.factors, self.stride, self.padding) ** 2
        units = self.linear.shape[-1]
        grouped = squares.reshape(*squares.shape[:3], units, -1).sum(axis=-1)
        return grouped + strided(images, self.linear, self.stride, self.padding)


class ConvICNN(NamedTuple):
    r"""The release's ConvICNN64, for arbitrary widths, rank and image shape.

    .. math::
        z_1 &= q_0(x), \quad z_2 = \mathrm{CELU}(C_0 z_1 + q_1(x)), \\
        z_3 &= \mathrm{CELU}_{0.2}(C_1 z_2), \quad z_4 = \mathrm{CELU}_{0.2}(C_2 z_3), \\
        \psi(x) &= C_3 z_4 + \tfrac12 \sigma \|x\|^2

    with convolutions C that have non-negative weights and biases of any sign, convex quadratic
    convolutions q, and sigma = `STRONG_CONVEXITY`. The release trains with dropout but disables it
    in the benchmark.

    Attributes
    ----------
    shape : tuple of int
        Channels, height and width.
    skips : tuple of Skip
    inner : tuple of (Array, Array)
        Kernel, made by `cut`, and bias of each convolution except the last.
    last : (Array, Array)
        Kernel (a, a, l, 1), which covers the whole input of the last layer, and bias (1,).
    """

    shape: ImageShape
    skips: tuple[Skip, Skip]
    inner: tuple[tuple[Array, Array], ...]
    last: tuple[Array, Array]

    def __call__(self, x: Array) -> Array:
        """Evaluate at flat points (m, c h w), to values (m,)."""
        images = as_images(x, self.shape)
        units = self.skips[0](images)
        for depth, (kernel, bias) in enumerate(self.inner):
            drive = strided(units, kernel, 2, 1) + bias
            units = celu(drive, CELU_ALPHA) if depth else celu(drive + self.skips[1](images), 1.0)
        kernel, bias = self.last
        value = (covering(units, kernel) + bias)[:, 0]
        return value + 0.5 * STRONG_CONVEXITY * jnp.sum(x * x, axis=-1)


def celu(x: Array, alpha: float) -> Array:
    """Evaluate CELU: x above 0, alpha (exp(x / alpha) - 1) below."""
    return jnp.where(x > 0, x, alpha * (jnp.exp(jnp.minimum(x, 0.0) / alpha) - 1))


def read_conv_icnn(file: Path, shape: ImageShape, check: Digest | None = None) -> ConvICNN:
    """Read a potential from a file such as the release's ``Early_v1.pt``.

    Parameters
    ----------
    file : Path
    shape : tuple of int
        Expected channels, height and width of the images; widths and rank are taken from the file.
    check : callable, optional
        Called with the file and its sha256 before anything is loaded.

    Raises
    ------
    ValueError
        If the file does not contain such a network, if the network is for images of another shape,
        or if weights are not finite or are negative, which would make the potential non-convex.
    OSError
        If the file cannot be read.
    """
    arrays = read_tensors(file, check)
    check_tensors(
        file,
        arrays,
        _expected_shapes(arrays, shape),
        kind="ConvICNN64",
        sized="on images of {} channels and {}x{} pixels".format(*shape),
        convex=lambda name: not name.startswith("quadratic") and name.endswith("weight"),
    )

    def layer(name: str) -> tuple[Array, Array]:
        return kernel_of(arrays[name + ".weight"]), jnp.asarray(arrays[name + ".bias"], jnp.float32)

    def skip(k: int, stride: int, padding: int) -> Skip:
        parts = ("quadratic_decomposed", "linear")
        kernels = [kernel_of(arrays[f"quadratic_layers.{k}.{part}.weight"]) for part in parts]
        return Skip(cut(kernels[0], stride), cut(kernels[1], stride), stride, padding)

    *inner, last = (layer(name) for name in ("convex_layers.0", *PLACES))
    return ConvICNN(
        shape,
        (skip(0, 2, 1), skip(1, 4, 2)),
        tuple((cut(kernel, 2), bias) for kernel, bias in inner),
        last,
    )


def kernel_of(weight: np.ndarray) -> Array:
    """Return torch's kernel (k, c, a, b) as (a, b, c, k)."""
    return jnp.asarray(weight.transpose(2, 3, 1, 0), jnp.float32)


def _expected_shapes(arrays: Arrays, shape: ImageShape) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network with the file's widths, by name.

    Widths are read from the first axes; the result is empty if these are missing.
    """
    linear = [f"quadratic_layers.{k}.linear.weight" for k in (0, 1)]
    factors = "quadratic_layers.{}.quadratic_decomposed.weight"
    tell_widths = [*linear, factors.format(0), *(f"{name}.weight" for name in PLACES)]
    if not all(name in arrays and arrays[name].ndim == 4 for name in tell_widths):
        return {}
    first, second, kernels, third, fourth, _ = (len(arrays[name]) for name in tell_widths)
    colours, *sides = shape
    rank = max(kernels // max(first, 1), 1)
    ends = (-(-side // REDUCTION) for side in sides)
    shapes: dict[str, tuple[int, ...]] = {
        linear[0]: (first, colours, 4, 4),
        linear[1]: (second, colours, 7, 7),
        factors.format(0): (rank * first, colours, 4, 4),
        factors.format(1): (rank * second, colours, 7, 7),
        "convex_layers.0.weight": (second, first, 4, 4),
        "convex_layers.0.bias": (second,),
        f"{PLACES[0]}.weight": (third, second, 4, 4),
        f"{PLACES[1]}.weight": (fourth, third, 4, 4),
        f"{PLACES[2]}.weight": (1, fourth, *ends),
    }
    widths = (third, fourth, 1)
    return shapes | {f"{name}.bias": (n,) for name, n in zip(PLACES, widths, strict=True)}
