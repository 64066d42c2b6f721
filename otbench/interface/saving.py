"""Trained methods on disk: tensors as safetensors, plain values as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from otbench.interface.parameters import with_tuples

WEIGHTS = "model.safetensors"
SETTINGS = "model.json"

PLAIN = (bool, int, float, str, type(None))
"""Types of plain values; tuples of them are plain too."""


def is_plain(value: Any) -> bool:
    """Return whether JSON can store a value, tuples as lists."""
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(item, PLAIN) for item in items)


def write_model(folder: Path, parameters: dict[str, Any], state: dict[str, Any]) -> None:
    """Write parameters and state to a folder, which is created if it does not exist.

    Parameters
    ----------
    folder : Path
    parameters : dict of str to plain value
    state : dict of str to Tensor or plain value
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    plain = {name: value for name, value in state.items() if name not in tensors}
    save_file(tensors, folder / WEIGHTS)
    content = {"parameters": parameters, "state": plain}
    (folder / SETTINGS).write_text(json.dumps(content, indent=1))


def read_model(folder: Path, device: str | torch.device) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the parameters and the state that `write_model` wrote; lists become tuples.

    Raises
    ------
    ValueError
        If a file is missing or broken; the message names it.
    """
    try:
        content = json.loads((folder / SETTINGS).read_text())
        parameters, plain = (with_tuples(content[part]) for part in ("parameters", "state"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / SETTINGS} holds no settings of a model: {error}") from error
    try:
        tensors = load_file(folder / WEIGHTS, device=str(device))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder / WEIGHTS} holds no weights: {error}") from error
    return parameters, plain | tensors
