"""Defaults of the numerical libraries, which the import of a plugin must not change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_defaults() -> Iterator[None]:
    """Restore the suite's defaults of torch and NumPy after the import of a plugin."""
    try:
        yield
    finally:
        if "torch" in sys.modules:
            import torch

            torch.set_default_dtype(torch.float32)
            torch.set_default_device(None)
            torch.set_grad_enabled(True)
            torch.set_float32_matmul_precision("highest")
            # The call imports torch.compile, which takes seconds.
            if torch.are_deterministic_algorithms_enabled():
                torch.use_deterministic_algorithms(False)
        if "numpy" in sys.modules:
            import numpy as np

            np.seterr(divide="warn", over="warn", under="ignore", invalid="warn")
