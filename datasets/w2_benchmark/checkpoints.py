"""Reading and checking of the tensors in the Wasserstein-2 benchmark's checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Digest = Callable[[Path, str], None]
"""Checks the sha256 of a file, given as hex, and raises if it is not the expected one."""

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


def read_tensors(file: Path, check: Digest | None = None) -> dict[str, np.ndarray]:
    """Read a state dict that torch wrote in either of its two formats; only tensors are accepted.

    Parameters
    ----------
    file : Path
    check : callable, optional
        Called with the file and its sha256 before anything is loaded.

    Raises
    ------
    ValueError
        If the file contains anything other than named tensors.
    OSError
        If the file cannot be read.
    """
    if check is not None:
        check(file, hashlib.sha256(file.read_bytes()).hexdigest())
    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {name: value.detach().numpy() for name, value in state.items()}
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds of errors on a corrupt file
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
    """Check that tensors belong to a given network.

    Parameters
    ----------
    file : Path
        Origin of the tensors, for messages.
    arrays : mapping
    expected : mapping
        The shape of every tensor; empty if the tensors do not determine the network.
    kind, sized : str
        Expected contents of the file, and the origin of the expected sizes, for messages.
    convex : callable
        Returns for a tensor's name whether convexity of the potential requires it to be
        non-negative.

    Raises
    ------
    ValueError
        If tensors are missing, unknown, of the wrong shape, not finite, or negative where they must
        not be.
    """
    if not expected or set(arrays) != set(expected):
        missing = sorted(set(expected) - set(arrays))
        unknown = sorted(set(arrays) - set(expected))
        raise ValueError(f"{file} is not a {kind}: missing {missing}, unknown {unknown}")
    for name, value in arrays.items():
        if value.shape != tuple(expected[name]):
            raise ValueError(
                f"{file}: {name} has shape {value.shape}; {sized} it should have {expected[name]}"
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{file}: {name} contains values that are not finite")
        if convex(name) and value.min() < 0:
            raise ValueError(
                f"{file}: {name} contains negative weights (minimum {float(value.min()):g}), so "
                f"the potential is not convex"
            )
