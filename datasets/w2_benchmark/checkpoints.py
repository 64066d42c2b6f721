"""Reading the tensors of the Wasserstein-2 benchmark's checkpoints, and checking them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Digest = Callable[[Path, str], None]
"""Checks a file's sha256, given as hex, and raises where it is not the expected one."""

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


def read_tensors(file: Path, check: Digest | None = None) -> dict[str, np.ndarray]:
    """Read a state dict written by torch, either of its two formats, and nothing but tensors.

    Parameters
    ----------
    file : Path
    check : callable, optional
        Given the file and its sha256 before anything is loaded.

    Raises
    ------
    ValueError
        If the file holds anything but tensors by name.
    OSError
        If it cannot be read.
    """
    if check is not None:
        check(file, hashlib.sha256(file.read_bytes()).hexdigest())
    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {name: value.detach().numpy() for name, value in state.items()}
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds on a broken file
        raise ValueError(f"{file} is not a checkpoint of tensors: {error}") from error


def check_tensors(
    file: Path,
    arrays: Arrays,
    expected: Shapes,
    *,
    kind: str,
    sized: str,
    convex: Callable[[str], bool] = lambda name: False,
) -> None:
    """Check that tensors are those of a network.

    Parameters
    ----------
    file : Path
        Where they came from, for messages.
    arrays : mapping
    expected : mapping
        The shape of every tensor; empty where the tensors do not even say which network it is.
    kind, sized : str
        What the file should hold, and what its sizes follow from, for messages.
    convex : callable
        Says by its name whether a tensor must not be negative for the potential to be convex.

    Raises
    ------
    ValueError
        If tensors are missing, left over, of another shape, not finite, or negative where they must
        not be.
    """
    if not expected or set(arrays) != set(expected):
        missing = sorted(set(expected) - set(arrays))
        unknown = sorted(set(arrays) - set(expected))
        raise ValueError(f"{file} holds no {kind}: missing {missing}, unknown {unknown}")
    for name, value in arrays.items():
        if value.shape != tuple(expected[name]):
            raise ValueError(
                f"{file}: {name} has shape {value.shape}, {sized} it should have {expected[name]}"
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{file}: {name} holds values that are not finite")
        if convex(name) and value.min() < 0:
            raise ValueError(
                f"{file}: {name} holds negative weights (least {float(value.min()):g}): "
                f"the potential is not convex"
            )
