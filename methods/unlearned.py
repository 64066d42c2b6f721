"""What interpolators that learn nothing share: there is nothing to fit, parameters to save."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from otbench.interface import FitContext, ImageDataset, Interpolator
from otbench.nn.checkpoint import SETTINGS


@dataclass
class UnlearnedInterpolator(Interpolator):
    """An interpolator that only needs the two images."""

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Do nothing: there is nothing to learn."""

    def save(self, folder: Path) -> None:
        """Write the parameters as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).write_text(json.dumps({"parameters": self.parameters()}, indent=1))

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Read back the parameters; images stay on the device they come on."""
        return cls(**json.loads((folder / SETTINGS).read_text())["parameters"])
