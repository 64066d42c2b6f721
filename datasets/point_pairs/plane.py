"""Tasks in the plane, for pictures; the true map is unknown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface import Dataset, JaxSampler, MeasurePair, parameter
from otbench_datasets.definitions import definition_digest
from otbench_datasets.point_pairs.planar_images import image_law, read_brightness
from otbench_datasets.point_pairs.planar_laws import NORMALS, TASKS, UNIFORMS, Law

VERSION = 1


SMALLEST, LARGEST = 4, 512
"""Sides, in pixels, that the user's own images may be resized to."""


class PlanarPair(MeasurePair):
    """Two laws in the plane.

    Parameters
    ----------
    laws : tuple of Law
        Of source and target.
    **definition
        What tells this pair from others, plain values.
    """

    name, variant, dimension = "plane", "default", 2

    def __init__(self, laws: tuple[Law, Law], **definition: Any) -> None:
        self.sha256 = definition_digest("plane", VERSION, **definition)
        self._laws = laws

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the first law."""
        return _drawn(self._laws[0], n, generator)

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the second law."""
        return _drawn(self._laws[1], n, generator)

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler]:
        """Return samplers of the two laws."""
        source, target = self._laws
        return LawSampler(source), LawSampler(target)


def _drawn(law: Law, n: int, generator: torch.Generator) -> Tensor:
    u = torch.rand(n, UNIFORMS, generator=generator).numpy()
    e = torch.randn(n, NORMALS, generator=generator).numpy()
    return torch.from_numpy(np.asarray(law(np, u, e), np.float32))


@dataclass(frozen=True)
class LawSampler:
    """Draws points of a law in JAX; equal where the law is, so that nothing is compiled twice."""

    law: Law

    def __call__(self, key: Any, n: int) -> Any:
        """Draw n points, (n, 2), from a JAX key."""
        import jax

        first, second = jax.random.split(key)
        u = jax.random.uniform(first, (n, UNIFORMS))
        return self.law(jax.numpy, u, jax.random.normal(second, (n, NORMALS)))


@dataclass
class Plane(Dataset):
    """Two distributions in the plane, by the name of the task.

    Ten tasks of the release of Amos 2023: ``eight`` (a Gaussian to eight), ``squares`` (five
    Gaussians to four), ``circles``, ``moon-to-moon``, ``s-curve``, ``swiss``, ``bent-moon`` and
    ``rings`` (each to a Gaussian), ``bent-moon-to-rings``, and ``images``: points drawn where an
    image is bright, from one image to another. The noise of moons, S curve and Swiss roll and the
    two images, a flower and a disc in a ring, are chosen here; ``first`` and ``second`` put files
    of your own in their place. Four more lead from a Gaussian to ``moons`` (both),
    ``gauss-to-swiss``, ``checkerboard`` and ``spirals``. Three, with targets whitened, are those of
    neural optimal transport: ``white-moons`` (noise 0.05), ``white-swiss`` (noise 0.8) and
    ``white-eight`` (radius 12).
    """

    name: str = parameter("moons", f"one of {', '.join(TASKS)}", choices=tuple(TASKS))
    first: str = parameter("", "images: a file to draw the source from, with second")
    second: str = parameter("", "images: a file to draw the target from, with first")
    side: int = parameter(
        64,
        f"side that both files are resized to, in pixels, {SMALLEST} to {LARGEST}",
        low=SMALLEST,
        high=LARGEST,
    )

    title: ClassVar[str] = "Tasks in the plane: plane:moons, plane:eight, plane:checkerboard, ..."

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if bool(self.first) != bool(self.second):
            yield "give both files, first and second, or neither"
        if self.first and self.name != "images":
            yield f"first and second are for images, not for {self.name}"

    def load(self) -> MeasurePair:
        """Build the pair; see `otbench.interface.Dataset.load`."""
        if not self.first:
            return PlanarPair(TASKS[self.name], task=self.name)
        images = [read_brightness(file, self.side) for file in (self.first, self.second)]
        pixels = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        source, target = (image_law(image) for image in images)
        return PlanarPair((source, target), task=self.name, pixels=pixels)
