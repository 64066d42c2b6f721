r"""The convolutional potential of Amos 2023 for images, and the amortizer that comes with it.

Points stay flat, (m, c h w), in the order channel, row, column; values of pixels lie about [-1, 1].
Architecture, initialisation and normalisation follow the release (arXiv 2210.12153); sizes are
parameters here.
"""

from __future__ import annotations

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import Array

from otbench.ot.gradients import gradient_of
from otbench.ot.w2.network import Network, Parameters, check_points, draw_kernels, elu, half_square

ImageShape = tuple[int, int, int]
"""Channels, height and width."""

CHANNELS = (128, 128, 256, 512, 1024)
"""Channels of the release's strided layers, for images of 64x64 pixels."""

KERNEL, STRIDE = 4, 2

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of red, green and blue in [0, 1] over ImageNet, as in the release."""


def as_images(x: Array, shape: ImageShape) -> Array:
    """Return flat points (m, c h w) as images (m, h, w, c)."""
    return x.reshape(-1, *shape).transpose(0, 2, 3, 1)


def as_points(images: Array) -> Array:
    """Return images (m, h, w, c) as flat points (m, c h w)."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def cut(kernel: Array, stride: int) -> Array:
    """Return a kernel (a, b, c, k) as `strided` takes it: (4 stride^2 c, k), block by block."""
    short = [(0, 2 * stride - side) for side in kernel.shape[:2]]
    kernel = jnp.pad(kernel, (*short, (0, 0), (0, 0)))
    c, k = kernel.shape[2:]
    return kernel.reshape(2, stride, 2, stride, c, k).transpose(0, 2, 1, 3, 4, 5).reshape(-1, k)


def strided(x: Array, kernel: Array, stride: int, before: int) -> Array:
    """Correlate images (m, h, w, c) with a kernel, one result every stride pixels.

    The correlation is computed as matrix products of the image cut into blocks, so that its first
    and second derivatives are matrix products, too. On a CPU that is seven times faster than XLA's
    convolutions.

    Parameters
    ----------
    x : Array
    kernel : Array
        Made by `cut`; at most two strides high and wide.
    stride : int
    before : int
        Rows and columns of zeros above and to the left; as many as needed are added at the end.

    Returns
    -------
    Array, shape (m, ceil(h / stride), ceil(w / stride), k)
    """
    m, h, w, c = x.shape
    rows, columns = -(-h // stride), -(-w // stride)
    after = [(n + 1) * stride - side - before for n, side in ((rows, h), (columns, w))]
    x = jnp.pad(x, ((0, 0), (before, after[0]), (before, after[1]), (0, 0)))
    x = x.reshape(m, rows + 1, stride, columns + 1, stride, c).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(m, rows + 1, columns + 1, stride * stride * c)
    blocks = [x[:, i : i + rows, j : j + columns] for i in range(2) for j in range(2)]
    flat = jnp.concatenate(blocks, axis=-1).reshape(m * rows * columns, -1)
    return (flat @ kernel).reshape(m, rows, columns, -1)


def covering(x: Array, kernel: Array) -> Array:
    """Correlate images (m, h, w, c) with a kernel (h, w, c, k) of the same size, giving (m, k)."""
    return x.reshape(len(x), -1) @ kernel.reshape(-1, kernel.shape[-1])


@cache
def conv(
    shape: ImageShape, channels: tuple[int, ...] | None = None, zero_start: bool = False
) -> Network:
    r"""Return the convolutional potential of the release, not convex.

    .. math:: f(x) = \mathrm{ELU}(\mathrm{CNN}(u)) + \tfrac12 e^{\alpha} \|x\|^2

    where u is x mapped from [-1, 1] to [0, 1] and normalised by `MEAN` and `DEVIATION`. That is for
    three channels; with any other number u = x, a case that the release does not have. Every layer
    halves the sides by 4x4 kernels and ends in an ELU. The last kernel covers the remaining image
    (2x2 after five layers from 64x64 pixels) and leaves one unit. Alpha starts at 0.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of an image.
    channels : tuple of int
        Channels of each strided layer; `CHANNELS` by default.
    zero_start : bool
        Start with a last kernel of zeros, so that the gradient is the identity (not in the release,
        which pretrains instead).

    Raises
    ------
    ValueError
        If a size is less than 1.
    """
    channels = CHANNELS if channels is None else tuple(channels)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"an image's channels, height and width must be at least 1, got {shape}")
    if not channels or min(channels) < 1:
        raise ValueError(f"channels must name at least one layer of at least one, got {channels}")
    colours, height, width = shape
    dimension = colours * height * width
    for _ in channels:
        height, width = -(-height // STRIDE), -(-width // STRIDE)
    kernels = [(KERNEL, KERNEL, *ends) for ends in itertools.pairwise((colours, *channels))]
    kernels.append((height, width, channels[-1], 1))

    @jax.jit
    def init(key: Array, sample: Array) -> Parameters:
        flat = draw_kernels(key, [(a * b * before, after) for a, b, before, after in kernels])
        drawn = [kernel.reshape(size) for kernel, size in zip(flat, kernels, strict=True)]
        if zero_start:
            drawn[-1] = jnp.zeros_like(drawn[-1])
        parameters = {f"kernel{layer}": kernel for layer, kernel in enumerate(drawn)}
        biases = {f"bias{layer}": jnp.zeros(size[-1]) for layer, size in enumerate(kernels)}
        return parameters | biases | {"log_alpha": jnp.zeros(())}

    def apply(parameters: Parameters, x: Array) -> Array:
        check_points(x, dimension)
        units = as_images(x, shape)
        if colours == len(MEAN):
            mean, deviation = (jnp.asarray(a)[None, None, None] for a in (MEAN, DEVIATION))
            units = ((units + 1) / 2 - mean) / deviation
        for layer in range(len(channels)):
            kernel = cut(parameters[f"kernel{layer}"], STRIDE)
            drive = strided(units, kernel, STRIDE, before=1)
            units = elu(drive + parameters[f"bias{layer}"][None, None, None])
        last = len(channels)
        value = covering(units, parameters[f"kernel{last}"])
        value = elu(value + parameters[f"bias{last}"][None])[:, 0]
        return value + jnp.exp(parameters["log_alpha"]) * half_square(x)

    return Network(dimension, init, apply)


@cache
def gradient_map(potential: Network) -> Network:
    """Return the release's amortizer for images: the gradient of a potential."""

    def apply(parameters: Parameters, y: Array) -> Array:
        return gradient_of(partial(potential.apply, parameters))(y)

    return Network(potential.dimension, potential.init, apply, potential.project)
