r"""The image pairs of the Wasserstein-2 benchmark, built from its checkpoints.

The source consists of a generator's images with small noise. The map is the gradient of the mean of
two convex potentials, each trained towards a generator from an earlier stage of the same training
(Korotin et al. 2021):

.. math:: X = G(Z) + 0.01 E, \quad T^* = \tfrac12 \nabla (\psi_1 + \psi_2), \quad Y = T^*(X)

This is the release's class CelebA64Benchmark. Unlike the high-dimensional benchmark, it is not
standardised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
from jax import Array

from otbench.ot.gradients import gradient_of
from otbench.ot.w2.conv import ImageShape
from otbench_datasets.w2_benchmark.checkpoints import Digest
from otbench_datasets.w2_benchmark.conv_icnn import ConvICNN, read_conv_icnn
from otbench_datasets.w2_benchmark.generator import Generator, read_generator

NOISE = 0.01
"""Standard deviation added to every pixel, on [-1, 1]."""

GENERATOR = "Final_G.pt"


def checkpoint_names(stage: str) -> tuple[str, str, str]:
    """Return the release's files of the generator and of a stage's potentials."""
    first, second = (f"{stage.capitalize()}_v{k}.pt" for k in (1, 2))
    return GENERATOR, first, second


@dataclass(frozen=True)
class BenchmarkImages:
    """Two distributions of flat images and the optimal map between them.

    Attributes
    ----------
    generator : Generator
    potentials : tuple of ConvICNN
    """

    generator: Generator
    potentials: tuple[ConvICNN, ConvICNN]

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width."""
        return self.generator.shape

    @property
    def dimension(self) -> int:
        """Dimension of both distributions."""
        channels, height, width = self.shape
        return channels * height * width

    def potential(self, x: Array) -> Array:
        """Evaluate the mean of the two potentials, points (m, n) to values (m,)."""
        first, second = self.potentials
        return (first(x) + second(x)) / 2

    def push(self, x: Array) -> Array:
        """Map points of the source by the true map, (m, n) to (m, n)."""
        with jax.default_matmul_precision("highest"):
            return gradient_of(self.potential)(x)

    def sample_source(self, key: Array, count: int) -> Array:
        """Draw points (count, n) of the source."""
        codes, noise = jax.random.split(key)
        images = self.generator(jax.random.normal(codes, (count, self.generator.codes)))
        return images + NOISE * jax.random.normal(noise, images.shape)

    def sample_target(self, key: Array, count: int) -> Array:
        """Draw points (count, n) of the target."""
        return self.push(self.sample_source(key, count))


def checkpoint_images(folder: Path, stage: str, check: Digest | None = None) -> BenchmarkImages:
    """Build the pair of a stage from the files `checkpoint_names` in a folder.

    Sizes are taken from the files; the potentials must fit the generator's images.

    Raises
    ------
    ValueError
        If a file has the wrong contents; see `read_generator` and `read_conv_icnn`.
    OSError
        If a file cannot be read.
    """
    generator_file, *files = (folder / name for name in checkpoint_names(stage))
    generator = read_generator(generator_file, check)
    first, second = (read_conv_icnn(file, generator.shape, check) for file in files)
    return BenchmarkImages(generator, (first, second))
