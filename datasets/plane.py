"""Tasks in the plane, to look at: no true map is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.errors import UsageError
from otbench.interface import Dataset, JaxSampler, MeasurePair, parameter
from otbench.registry import unknown_name
from otbench_datasets.known_map import definition_digest
from otbench_datasets.planar_laws import NORMALS, TASKS, UNIFORMS, Law

VERSION = 1


class PlanarPair(MeasurePair):
    """Two laws of `otbench_datasets.planar_laws`.

    Parameters
    ----------
    task : str
        One of `otbench_datasets.planar_laws.TASKS`.
    """

    name, variant, dimension = "plane", "default", 2

    def __init__(self, task: str) -> None:
        self.sha256 = definition_digest("plane", VERSION, task=task)
        self._laws = TASKS[task]

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the first law."""
        return _drawn(self._laws[0], n, generator)

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the second law."""
        return _drawn(self._laws[1], n, generator)

    def jax_samplers(self) -> tuple[JaxSampler, JaxSampler]:
        """Return samplers of the two laws."""
        source, target = self._laws
        return _jax_sampler(source), _jax_sampler(target)


def _drawn(law: Law, n: int, generator: torch.Generator) -> Tensor:
    u = torch.rand(n, UNIFORMS, generator=generator).numpy()
    e = torch.randn(n, NORMALS, generator=generator).numpy()
    return torch.from_numpy(np.asarray(law(np, u, e), np.float32))


def _jax_sampler(law: Law) -> JaxSampler:
    def sample(key: Any, n: int) -> Any:
        import jax

        first, second = jax.random.split(key)
        u = jax.random.uniform(first, (n, UNIFORMS))
        return law(jax.numpy, u, jax.random.normal(second, (n, NORMALS)))

    return sample


@dataclass
class Plane(Dataset):
    """Two distributions in the plane, by the name of the task.

    Nine tasks of the release of Amos 2023 (its tenth needs two photographs): ``eight`` (a Gaussian
    to eight), ``squares`` (five Gaussians to four), ``circles``, ``moon-to-moon``, ``s-curve``,
    ``swiss``, ``bent-moon`` and ``rings`` (each to a Gaussian), ``bent-moon-to-rings``. The
    noise of moons, S curve and Swiss roll is chosen here. Four more lead from a Gaussian to
    ``moons`` (both), ``gauss-to-swiss``, ``checkerboard`` and ``spirals``. Three, with targets
    whitened, are those of neural optimal transport: ``white-moons`` (noise 0.05), ``white-swiss``
    (noise 0.8) and ``white-eight`` (radius 12).
    """

    name: str = parameter("moons", f"one of {', '.join(TASKS)}")

    title: ClassVar[str] = "Tasks in the plane: plane:moons, plane:eight, plane:checkerboard, ..."

    def __post_init__(self) -> None:
        """Check the name."""
        if self.name not in TASKS:
            raise UsageError(f"plane: {unknown_name('name', self.name, TASKS)}")

    def load(self) -> MeasurePair:
        """Set the pair up; see `otbench.interface.Dataset.load`."""
        return PlanarPair(self.name)
