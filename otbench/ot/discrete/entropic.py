"""Entropic plans between images, by OTT-JAX."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from otbench.ot.discrete.displacement import Array, Plan, supports

ITERATIONS = 20_000
TOLERANCE = 1e-5
"""Largest total error of the plan's marginals before the final rounding."""
BLOCK = 128
"""Supports are padded to a multiple of this."""
SMALLEST = 1e-12
"""Entries below this share of the mass are left out of the plan."""


class NotConverged(RuntimeError):
    """Sinkhorn's iterations ran out."""


def import_ott() -> tuple[Any, Any, Any]:
    """Import OTT-JAX's PointCloud, LinearProblem and Sinkhorn on first use."""
    # By default JAX takes most of a GPU's memory when it is first imported, and torch has none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with warnings.catch_warnings():  # OTT imports JAXopt, which warns that it is deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        from ott.geometry.pointcloud import PointCloud
        from ott.problems.linear.linear_problem import LinearProblem
        from ott.solvers.linear.sinkhorn import Sinkhorn
    return PointCloud, LinearProblem, Sinkhorn


@lru_cache(maxsize=8)
def _potentials(iterations: int) -> Callable[..., Any]:
    """Compile Sinkhorn's iterations once for each size of the supports."""
    import jax

    PointCloud, LinearProblem, Sinkhorn = import_ott()
    solver = Sinkhorn(threshold=TOLERANCE, max_iterations=iterations)

    def solve(x: Any, y: Any, a: Any, b: Any, epsilon: float) -> tuple[Any, Any, Any]:
        out = solver(LinearProblem(PointCloud(x, y, epsilon=epsilon), a=a, b=b))
        return out.f, out.g, out.converged

    return jax.jit(solve)


def _padded(values: Array) -> Array:
    """Pad with zeros to a multiple of `BLOCK`, so that few sizes have to be compiled.

    OTT's grid geometry would need no padding, but it loses mass where pixels are empty.
    """
    return np.pad(values, [(0, -len(values) % BLOCK), *[(0, 0)] * (values.ndim - 1)])


def entropic_plan(
    image0: Array, image1: Array, threshold: float = 0.0, *, epsilon: float = 1.0
) -> Plan:
    r"""Couple two images by the plan that minimises cost plus entropy.

    .. math:: \min_P \sum_{ij} P_{ij} |a_i - b_j|^2 + \epsilon \sum_{ij} P_{ij} (\log P_{ij} - 1)

    Runs on the CPU in float64, whatever the settings of JAX.

    Parameters
    ----------
    image0, image1, threshold
        See `otbench.ot.discrete.displacement.exact_plan`.
    epsilon : float
        In squared pixels, positive.

    Raises
    ------
    ValueError
        As `otbench.ot.discrete.displacement.exact_plan`; or if epsilon is not positive.
    NotConverged
        If the marginals are not met after 20,000 iterations because epsilon is too small.

    References
    ----------
    Cuturi, M. (2013). Sinkhorn distances. NeurIPS. Cuturi et al. (2022). Optimal Transport Tools
    (OTT). arXiv:2201.12324.
    """
    if not (epsilon > 0 and np.isfinite(epsilon)):
        raise ValueError(f"epsilon must be positive and finite, got {epsilon}")
    places, weights = supports(image0, image1, threshold)
    import jax

    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        padded = (_padded(x) for x in (*places, *weights))
        found = _potentials(ITERATIONS)(*padded, epsilon)
        f, g = (np.asarray(x)[: len(p)] for x, p in zip(found, places, strict=False))
        converged = bool(found[2])
    if not converged:
        raise NotConverged(
            f"Sinkhorn's marginals are off by more than {TOLERANCE:g} after {ITERATIONS} "
            f"iterations with epsilon {epsilon:g}: take a greater one"
        )
    costs = ((places[0][:, None] - places[1][None]) ** 2).sum(2)
    coupling = np.exp((f[:, None] + g[None] - costs) / epsilon)
    coupling *= (weights[0] / coupling.sum(1))[:, None]
    i, j = (coupling > SMALLEST).nonzero()
    kept = coupling[i, j]
    return Plan(places[0][i], places[1][j], kept / kept.sum())
