"""Tasks in the plane, for visualisation; the true map is unknown."""

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
"""Smallest and largest side, in pixels, to which the user's images can be resized."""


class PlanarPair(MeasurePair):
    """Two distributions in the plane.

    Parameters
    ----------
    laws : tuple of Law
        Laws of source and target.
    **definition
        Plain values that identify this pair.
    """

    name, variant, dimension = "plane", "default", 2

    def __init__(self, laws: tuple[Law, Law], **definition: Any) -> None:
        self.sha256 = definition_digest("plane", VERSION, **definition)
        self._laws = laws

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the source."""
        return _drawn(self._laws[0], n, generator)

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the target."""
        return _drawn(self._laws[1], n, generator)

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler]:
        """Return samplers of source and target."""
        source, target = self._laws
        return LawSampler(source), LawSampler(target)


def _drawn(law: Law, n: int, generator: torch.Generator) -> Tensor:
    u = torch.rand(n, UNIFORMS, generator=generator).numpy()
    e = torch.randn(n, NORMALS, generator=generator).numpy()
    return torch.from_numpy(np.asarray(law(np, u, e), np.float32))


@dataclass(frozen=True)
class LawSampler:
    """Draws points of a law in JAX. Samplers of equal laws are equal, to avoid recompiling."""

    law: Law

    def __call__(self, key: Any, n: int) -> Any:
        """Draw n points, (n, 2), from a JAX key."""
        import jax

        first, second = jax.random.split(key)
        u = jax.random.uniform(first, (n, UNIFORMS))
        return self.law(jax.numpy, u, jax.random.normal(second, (n, NORMALS)))


@dataclass
class Plane(Dataset):
    """Two distributions in the plane, selected by the name of the task.

    Ten tasks of the release of Amos 2023: ``eight`` (a Gaussian to eight), ``squares`` (five
    Gaussians to four), ``circles``, ``moon-to-moon``, ``s-curve``, ``swiss``, ``bent-moon`` and
    ``rings`` (each to a Gaussian), ``bent-moon-to-rings``, and ``images`` (points drawn from the
    brightness of one image, to points drawn from another). The noise of moons, S curve and Swiss
    roll and the two images, a flower and a disc in a ring, are chosen here; ``first`` and
    ``second`` replace the images by your own files. Four more tasks have a Gaussian source:
    ``moons`` (to both moons), ``gauss-to-swiss``, ``checkerboard`` and ``spirals``. Three tasks of
    neural optimal transport have whitened targets: ``white-moons`` (noise 0.05), ``white-swiss``
    (noise 0.8) and ``white-eight`` (radius 12).
    """

    name: str = parameter("moons", f"one of {', '.join(TASKS)}", choices=tuple(TASKS))
    first: str = parameter(
        "", "image file to draw the source from, for name=images, together with second"
    )
    second: str = parameter(
        "", "image file to draw the target from, for name=images, together with first"
    )
    side: int = parameter(
        64,
        f"side in pixels to which both files are resized, {SMALLEST} to {LARGEST}",
        low=SMALLEST,
        high=LARGEST,
    )

    title: ClassVar[str] = "Tasks in the plane: plane:moons, plane:eight, plane:checkerboard, ..."

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if bool(self.first) != bool(self.second):
            yield "give both files, first and second, or neither"
        if self.first and self.name != "images":
            yield f"first and second are only for name=images, got name={self.name}"

    def load(self) -> MeasurePair:
        """Build the pair; see `otbench.interface.Dataset.load`."""
        if not self.first:
            return PlanarPair(TASKS[self.name], task=self.name)
        images = [read_brightness(file, self.side) for file in (self.first, self.second)]
        pixels = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        source, target = (image_law(image) for image in images)
        return PlanarPair((source, target), task=self.name, pixels=pixels)
