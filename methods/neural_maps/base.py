"""What maps that are trained in JAX share: batches, saving, reading back."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch

from otbench.interface import FitContext, MeasurePair, TransportMap
from otbench.nn.checkpoint import SETTINGS, WEIGHTS, load_settings
from otbench_methods.sampled_maps.base import draw_both

POOL = 2**17
"""Points drawn once of each side, where a pair cannot draw inside a compiled step."""

START_SAMPLE = 2**14
"""Points of each side for moments that a start is fitted to."""


class JaxMap(TransportMap):
    """A map whose trained part is ``map_``, with ``save(file)`` and ``dimension``."""

    map_: Any

    def _settings(self) -> dict[str, Any]:
        """Return what `_restore` needs beside the weights, for JSON."""
        return {"dimension": self.map_.dimension}

    @abstractmethod
    def _restore(self, weights: Path, settings: dict[str, Any]) -> None:
        """Set ``map_`` from the file of weights and from what `_settings` gave."""

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors, the parameters and settings as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        self.map_.save(folder / WEIGHTS)
        settings = self._settings() | {"parameters": self.parameters()}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Read back what `save` wrote; points come back on the device that they came on.

        Raises
        ------
        ValueError
            If the weights are not those of the networks that the parameters describe.
        """
        from otbench.plugins.parameters import from_json

        settings = load_settings(folder)
        method = cls(**from_json(settings["parameters"]))
        method._restore(folder / WEIGHTS, settings)
        return method


def batch_samplers(
    data: MeasurePair, batch: int, ctx: FitContext
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return samplers of batches, key to (batch, d), of source and target."""
    compiled = data.jax_samplers()
    if compiled is not None:
        source, target = compiled
        return lambda key: source(key, batch), lambda key: target(key, batch)

    import jax

    from otbench.ot.torch_bridge import to_jax

    pools = [to_jax(points.to(ctx.device)) for points in draw_both(data, POOL, ctx)]

    def drawing(pool: Any) -> Callable[[Any], Any]:
        return lambda key: pool[jax.random.randint(key, (batch,), 0, len(pool))]

    return drawing(pools[0]), drawing(pools[1])
