"""Trained methods on disk: tensors as safetensors, plain values as JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from otbench.errors import ModelError
from otbench.files import read_bounded
from otbench.interface.parameters import with_tuples

WEIGHTS = "model.safetensors"
SETTINGS = "model.json"

MOST_SETTINGS = 16 << 20
"""Bytes of settings that are read at most."""

PLAIN = (bool, int, float, str, type(None))
"""Types of plain values; tuples of them are plain too."""


def is_plain(value: Any) -> bool:
    """Return whether JSON can store a value, tuples as lists."""
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(item, PLAIN) for item in items)


def write_model(folder: Path, kind: str, parameters: dict[str, Any], state: dict[str, Any]) -> None:
    """Write parameters and state to a folder, which is created if it does not exist.

    The settings hold a digest of all of it, so that a damaged model is never taken for another one.

    Parameters
    ----------
    folder : Path
    kind : str
        Name of the class.
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
    settings = {"kind": kind, "parameters": parameters, "state": plain}
    content = settings | {"sha256": _digest(settings, folder / WEIGHTS)}
    (folder / SETTINGS).write_text(json.dumps(content, indent=1))


def read_model(
    folder: Path, kind: str, device: str | torch.device
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the parameters and the state that `write_model` wrote; lists become tuples.

    Raises
    ------
    ModelError
        If a file is missing, broken, not the one that was written, or of another kind; the message
        names it.
    """
    try:
        content = json.loads(read_bounded(folder / SETTINGS, MOST_SETTINGS).decode("utf-8"))
        known = content.pop("sha256")
        parameters, plain = (with_tuples(content[part]) for part in ("parameters", "state"))
        found = content["kind"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{folder / SETTINGS} holds no settings of a model: {error}") from error
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder / WEIGHTS} is missing or no file")
    try:
        if _digest(content, folder / WEIGHTS) != known:
            raise ModelError(f"{folder}: {SETTINGS} or {WEIGHTS} was changed after it was saved")
        tensors = load_file(folder / WEIGHTS, device=str(device))
    except ModelError:
        raise
    # safetensors raises many kinds of errors on files that are none.
    except Exception as error:
        raise ModelError(f"{folder / WEIGHTS} holds no weights: {error}") from error
    if found != kind:
        raise ModelError(f"{folder} holds a model of {found!r:.80}, not of {kind}")
    return parameters, plain | tensors


def _digest(settings: dict[str, Any], weights: Path) -> str:
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
    found.update(json.dumps(settings, sort_keys=True).encode())
    return found.hexdigest()
