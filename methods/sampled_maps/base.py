"""Points of both sides of a measure pair, and what maps learned from them share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from otbench.errors import DataError, UsageError
from otbench.interface import FitContext, MeasurePair, TransportMap, parameter
from otbench.nn.checkpoint import SETTINGS, WEIGHTS, load_settings

AT_ONCE = 1024
"""New points whose distances to the sample are held in memory at a time."""


def check_choice(method: str, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise UsageError unless the value is one of the choices."""
    if value not in choices:
        raise UsageError(f"{method}: {name} must be one of {', '.join(choices)}, got {value!r}")


def draw_both(data: MeasurePair, n: int, ctx: FitContext) -> tuple[Tensor, Tensor]:
    """Draw n points of the source and n of the target, float32, shape (n, d) each, on the CPU.

    Raises
    ------
    DataError
        If a side draws another shape than (n, d), or values that are not finite.
    """
    sides = []
    for name, sampler in (("source", data.source), ("target", data.target)):
        points = sampler(n, ctx.generator(f"{name}-sample"))
        if tuple(points.shape) != (n, data.dimension):
            raise DataError(
                f"the {name} of {data.name} drew points of shape {tuple(points.shape)}, "
                f"wanted ({n}, {data.dimension})"
            )
        if not torch.isfinite(points).all():
            raise DataError(f"the {name} of {data.name} draws values that are not finite")
        sides.append(points.to(torch.float32))
    return sides[0], sides[1]


@dataclass
class SampledMap(TransportMap):
    """A map whose whole state is a few tensors, learned from one sample of each side.

    Subclasses set `state_`, a dictionary of float32 tensors.
    """

    sample: int = parameter(
        2**16, "points of each side that it learns from, at least 2", "moments to half a percent"
    )

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.sample < 2:
            raise UsageError(f"{type(self).__name__}: sample must be at least 2, got {self.sample}")

    def save(self, folder: Path) -> None:
        """Write the tensors as safetensors and the parameters as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.cpu().contiguous() for name, value in self.state_.items()}
        save_file(state, folder / WEIGHTS)
        (folder / SETTINGS).write_text(json.dumps({"parameters": self.parameters()}, indent=1))

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Read back what `save` wrote."""
        method = cls(**load_settings(folder)["parameters"])
        method.state_ = load_file(folder / WEIGHTS, device=str(device))
        return method
