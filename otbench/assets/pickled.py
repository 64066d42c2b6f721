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


class _Array:
    """Stands for `numpy.ndarray`, which could be asked for any amount of memory."""


def _reconstruct(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray:
    """Return an empty array; its shape and content come with its state."""
    if kind is not _Array or shape != (0,):
        raise pickle.UnpicklingError("the pickle asks for something else than an empty array")
    return np.zeros(0)


# The version in C makes room for every number of an object that the file names, up to 2^32.
class ArrayUnpickler(pickle._Unpickler):
    """Reads pickled dicts of NumPy arrays, and refuses to name anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve the few names an array needs; raise UnpicklingError for any other."""
        if (module, name) not in PICKLED_ARRAY:
            raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}")
        return {"_reconstruct": _reconstruct, "ndarray": _Array, "dtype": np.dtype}[name]


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
    # What is no pickle, or an odd one, shows itself in many kinds of errors.
    except Exception as error:
        raise SourceFailed(f"refused to unpickle: {error or type(error).__name__}") from error
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
