"""Parameters of several networks in one safetensors file, arrays named ``network.array``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from otbench.ot.w2.network import Network, Parameters, check_parameters

Tree = TypeVar("Tree")


def named_arrays(parameters: Any) -> dict[str, np.ndarray]:
    """Return the arrays to save from a named tuple of flat dictionaries, one per network."""
    return {
        f"{network}.{name}": np.array(value)
        for network, part in parameters._asdict().items()
        for name, value in part.items()
    }


def checked_parameters(
    arrays: dict[str, np.ndarray],
    kind: Callable[..., Tree],
    networks: Sequence[Network | None],
) -> Tree:
    """Return arrays as the parameters of newly built networks.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Arrays named as by `named_arrays`, and no others.
    kind : type
        The named tuple of the parameters.
    networks : sequence of Network or None
        One for each field of ``kind``; None has no parameters.

    Raises
    ------
    ValueError
        If they are the parameters of other networks, not finite, or weights with which a convex
        potential would not be convex.
    """
    fields: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    parts: dict[str, Parameters] = {name: {} for name in fields}
    for full, value in arrays.items():
        field, _, key = full.partition(".")
        if field not in parts:
            raise ValueError(
                f"the saved model holds {full}, wanted arrays of {' and '.join(fields)}"
            )
        parts[field][key] = jnp.asarray(value)
    for network, (name, part) in zip(networks, parts.items(), strict=True):
        if network is None and part:
            raise ValueError(f"the saved model has no {name}, yet parameters {sorted(part)} of it")
        if network is not None:
            try:
                check_parameters(network, part)
            except ValueError as error:
                raise ValueError(f"the saved model, {name}: {error}") from error
    return kind(**parts)
