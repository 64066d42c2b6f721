r"""Pairs of distributions with a known optimal map, the gradient of a convex potential.

`checkpoint_pair` is the high-dimensional benchmark of Korotin et al. 2021 (arXiv 2106.01954 and its
release, Wasserstein2Benchmark), re-implemented with its checkpoints. `random_pair` is a similar
pair with random potentials, which needs no download. In both

.. math:: \phi(x) = s \, (\psi_1(x) + \psi_2(x) - \langle m, x \rangle), \quad T^* = \nabla \phi,

where m and s are chosen so that T* of the source has mean 0 and mean variance 1 per coordinate. The
source is the release's mixture of three Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from otbench.ot.gradients import Potential, gradient_of
from otbench_datasets.w2_benchmark.checkpoints import Digest
from otbench_datasets.w2_benchmark.dense_icnn import read_checkpoint

COMPONENTS = 3
NOISE = 0.4
"""Standard deviation of a component along each of its rows, before standardisation."""

MODES = 10
"""Number of directions in each smooth maximum of a random potential."""

AXES_PER_MAXIMUM = 4

SHARPNESS = 4.0
"""Sharpness of the maxima. Boundaries between modes are about a quarter of the source's standard
deviation wide."""

MOMENT_SAMPLES = 2**18
MOMENT_CHUNK = 2**12


class Mixture(NamedTuple):
    """Gaussian mixture with equal weights: NOISE * maps[k] @ e + centers[k].

    Attributes
    ----------
    centers : Array, shape (3, n)
    maps : Array, shape (3, n, n)
    """

    centers: Array
    maps: Array

    def sample(self, key: Array, count: int) -> Array:
        """Draw points (count, n); traceable, and without gathering one matrix per point."""
        first, second = jax.random.split(key)
        chosen = jax.random.randint(first, (count,), 0, COMPONENTS)
        noise = NOISE * jax.random.normal(second, (count, self.centers.shape[1]))
        points = jnp.zeros_like(noise)
        for k in range(COMPONENTS):
            drawn = noise @ self.maps[k].T + self.centers[k]
            points = jnp.where((chosen == k)[:, None], drawn, points)
        return points


def release_mixture(dimension: int, seed: int = 0) -> Mixture:
    """Return the release's source in n dimensions, bit for bit; seed 0 gives the published one."""
    rng = np.random.RandomState(seed)  # the release's legacy generator, for identical bits
    centers = np.zeros((COMPONENTS, dimension), np.float32)
    for axis in range(dimension):
        centers[:, axis] = rng.choice(np.arange(COMPONENTS), COMPONENTS, replace=False)
    centers -= 1
    maps = rng.normal(size=(COMPONENTS, dimension, dimension)).astype(np.float32)
    maps /= np.sqrt((maps**2).sum(axis=2, keepdims=True))
    variance = (centers**2).sum(axis=1).mean() + dimension * NOISE**2
    scale = np.sqrt(variance) / np.sqrt(dimension)
    return Mixture(jnp.asarray(centers / scale), jnp.asarray(maps / scale))


class Moments(NamedTuple):
    """Moments that standardise a target to mean 0 and mean variance 1 per coordinate.

    Attributes
    ----------
    mean : Array, shape (n,)
        m.
    scale : float
        s.
    """

    mean: Array
    scale: float

    @classmethod
    def measured(cls, source: Mixture, raw: Potential, seed: int = 0) -> Moments:
        """Estimate m and s from `MOMENT_SAMPLES` points with a fixed seed.

        The release uses 2^14 points drawn on its GPU, so its pairs differ from these by at most
        0.01 standard deviations per coordinate.
        """

        @jax.jit
        def moments(key: Array) -> tuple[Array, Array]:
            moved = gradient_of(raw)(source.sample(key, MOMENT_CHUNK))
            return jnp.mean(moved, axis=0), jnp.mean(moved**2, axis=0)

        keys = jax.random.split(jax.random.key(seed), MOMENT_SAMPLES // MOMENT_CHUNK)
        sums = [[np.asarray(part, np.float64) for part in moments(key)] for key in keys]
        mean, square = (np.mean(part, axis=0) for part in zip(*sums, strict=True))
        variance = float((square - mean**2).mean())
        return cls(jnp.asarray(mean, jnp.float32), variance**-0.5)


@dataclass(frozen=True)
class BenchmarkPair:
    """Two distributions and the optimal map between them.

    Attributes
    ----------
    source : Mixture
    raw : callable
        psi_1 + psi_2, points (m, n) to values (m,), convex.
    mean : Array, shape (n,)
        m.
    scale : float
        s.
    """

    source: Mixture
    raw: Potential
    mean: Array
    scale: float

    @property
    def dimension(self) -> int:
        """Dimension of both distributions."""
        return int(self.mean.size)

    def potential(self, x: Array) -> Array:
        """Evaluate phi, points (m, n) to values (m,)."""
        return self.scale * (self.raw(x) - x @ self.mean)

    def push(self, x: Array) -> Array:
        """Map points of the source by the true map, (m, n) to (m, n)."""
        return self.scale * (gradient_of(self.raw)(x) - self.mean)

    def sample_source(self, key: Array, count: int) -> Array:
        """Draw points (count, n) of the source."""
        return self.source.sample(key, count)

    def sample_target(self, key: Array, count: int) -> Array:
        """Draw points (count, n) of the target."""
        return self.push(self.source.sample(key, count))


def checkpoint_pair(
    folder: Path, dimension: int, check: Digest | None = None, moments: Moments | None = None
) -> BenchmarkPair:
    """Build the pair of Korotin et al. 2021 in n dimensions from ``n_v1.pt`` and ``n_v2.pt``.

    Parameters
    ----------
    folder : Path
    dimension : int
    check : callable, optional
        See `read_checkpoint`.
    moments : Moments, optional
        Moments for these two files, if known. By default they are estimated, which takes seconds.

    Raises
    ------
    ValueError
        If a file is missing or has the wrong contents; see `read_checkpoint`.
    """
    files = [folder / f"{dimension}_v{k}.pt" for k in (1, 2)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {' and '.join(missing)}")
    first, second = (read_checkpoint(file, dimension, check) for file in files)
    source = release_mixture(dimension)

    def raw(x: Array) -> Array:
        return first(x) + second(x)

    return BenchmarkPair(source, raw, *(moments or Moments.measured(source, raw)))


def random_pair(dimension: int, seed: int = 0) -> BenchmarkPair:
    r"""Build a pair in n dimensions from a seeded random potential, without any file.

    .. math:: \psi(x) = 0.1 \|x\|^2
              + \sum_j \beta^{-1} \log \sum_{k} e^{\beta \langle u_{jk}, x \rangle + b_{jk}}

    with directions uniform on the sphere and b standard normal. The gradient of each smooth maximum
    points in one of `MODES` directions, so the target is a mixture with soft boundaries that no
    linear map can produce. There is one maximum per `AXES_PER_MAXIMUM` dimensions.

    Raises
    ------
    ValueError
        If the dimension is less than 1.
    """
    if dimension < 1:
        raise ValueError(f"dimension must be at least 1, got {dimension}")
    rng = np.random.default_rng(seed)
    maxima = -(-dimension // AXES_PER_MAXIMUM)
    directions = rng.normal(size=(dimension, maxima, MODES))
    directions /= np.linalg.norm(directions, axis=0)
    ridges = jnp.asarray(directions.reshape(dimension, -1), jnp.float32)
    offsets = jnp.asarray(rng.normal(size=maxima * MODES), jnp.float32)

    def psi(x: Array) -> Array:
        heights = (SHARPNESS * x @ ridges + offsets).reshape(len(x), maxima, MODES)
        bends = jax.nn.logsumexp(heights, axis=-1) / SHARPNESS
        return 0.1 * jnp.sum(x * x, axis=-1) + jnp.sum(bends, axis=-1)

    source = release_mixture(dimension, seed)
    return BenchmarkPair(source, psi, *Moments.measured(source, psi, seed))
