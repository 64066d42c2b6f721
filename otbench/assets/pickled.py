"""A restricted unpickler: NumPy arrays and nothing else."""

from __future__ import annotations

import pickle
from typing import IO, Any

import numpy as np

from otbench.assets.files import SourceFailed

# The names with which NumPy pickles an array. `numpy.core` was renamed in NumPy 2.
PICKLED_ARRAY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickled dicts of NumPy arrays, and refuses to name anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve the few names an array needs; raise UnpicklingError for any other."""
        if (module, name) not in PICKLED_ARRAY:
            raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}")
        if name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        return getattr(np, name)


def load_arrays(stream: IO[bytes]) -> dict[str, np.ndarray]:
    """Read a pickled tree of dicts with float arrays as leaves.

    Returns
    -------
    dict
        The leaves by path; path components are joined by slashes.

    Raises
    ------
    SourceFailed
        If the pickle names or holds anything but NumPy arrays.
    """
    try:
        tree = ArrayUnpickler(stream).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise SourceFailed(f"refused to unpickle: {error}") from error
    leaves: dict[str, np.ndarray] = {}
    pending = [("", tree)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, dict):
            pending += [(f"{path}/{key}".lstrip("/"), value) for key, value in node.items()]
        elif isinstance(node, np.ndarray) and node.dtype.kind == "f":
            leaves[path] = node
        else:
            raise SourceFailed(f"'{path}' is no array of floats but {type(node).__name__}")
    return leaves
