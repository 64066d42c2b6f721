"""Saving and loading of trained modules: safetensors for weights, JSON for parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS = "model.safetensors"
SETTINGS = "model.json"


def save_module(folder: Path, module: nn.Module, **settings: Any) -> None:
    """Write a module's weights and the plain values needed to build it again."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in module.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1))


def load_settings(folder: Path) -> dict[str, Any]:
    """Read back the plain values given to `save_module`."""
    settings: dict[str, Any] = json.loads((folder / SETTINGS).read_text())
    return settings


def load_weights(folder: Path, module: nn.Module, device: str | torch.device = "cpu") -> None:
    """Fill a module with the weights that `save_module` wrote, and move it to the device."""
    module.load_state_dict(load_file(folder / WEIGHTS))
    module.to(device)
