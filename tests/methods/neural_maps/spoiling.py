"""Saved models with other weights, as if they had been saved so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from otbench.interface import saving
from otbench.interface.saving import SETTINGS, WEIGHTS


def replace_weights(folder: Path, weights: dict[str, np.ndarray] | bytes) -> None:
    """Replace the weights of a saved model, and the digest over them."""
    if isinstance(weights, bytes):
        (folder / WEIGHTS).write_bytes(weights)
    else:
        save_file(weights, folder / WEIGHTS)
    content = json.loads((folder / SETTINGS).read_text())
    del content["sha256"]
    content["sha256"] = saving._digest(content, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps(content))
