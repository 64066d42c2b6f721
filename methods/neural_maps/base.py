"""Base of the maps trained in JAX: batches, saving, loading."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, TransportMap
from otbench_methods.sampled_maps.base import draw_both

POOL = 2**17
"""Points drawn once from each side if the pair cannot draw inside a compiled step."""

START_SAMPLE = 2**14
"""Points of each side used to estimate the moments of an initial map."""


class JaxMap(TransportMap):
    """A map whose trained part is ``map_``, which has ``arrays()`` and ``dimension``."""

    map_: Any

    @abstractmethod
    def read(self, arrays: dict[str, np.ndarray], dimension: int) -> Any:
        """Rebuild ``map_`` for points of the given dimension from its saved arrays.

        Raises
        ------
        ValueError
            If the arrays do not match the networks that the parameters describe.
        """

    def state(self) -> dict[str, Any]:
        """Return the arrays of the map, its dimension, and all other plain values."""
        plain = {name: value for name, value in vars(self).items() if name.endswith("_")}
        del plain["map_"]
        arrays = {name: torch.from_numpy(value) for name, value in self.map_.arrays().items()}
        return plain | arrays | {"dimension": self.map_.dimension}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned; results are on the device of the points passed in."""
        arrays = {n: v.numpy(force=True) for n, v in state.items() if isinstance(v, Tensor)}
        plain = {name: value for name, value in state.items() if name not in arrays}
        dimension = plain.pop("dimension")
        if odd := [name for name in plain if not name.endswith("_")]:
            raise ValueError(f"{odd[0]} is nothing that {type(self).__name__} keeps")
        vars(self).update(plain)
        self.map_ = self.read(arrays, dimension)


def batch_samplers(
    data: MeasurePair, batch: int, ctx: FitContext
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return samplers of batches, from a key to (batch, d), for source and target."""
    from otbench.ot.torch_bridge import to_jax
    from otbench.ot.training import batches_from, batches_of

    compiled = data.jax_samplers()
    if compiled is not None:
        source, target = compiled
        return batches_of(source, batch), batches_of(target, batch)
    first, second = (to_jax(points.to(ctx.device)) for points in draw_both(data, POOL, ctx))
    return batches_from(first, batch), batches_from(second, batch)
